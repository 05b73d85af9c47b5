import type {ReactNode} from 'react';
import {ApiError} from '../api/client.ts';
import {Icon} from './icon.tsx';

type NoticeProps = {
	readonly tone: 'bad' | 'warn';
	readonly title?: ReactNode;
	readonly children?: ReactNode;
	readonly action?: ReactNode;
};

export function Notice({tone, title, children, action}: NoticeProps) {
	const look = tone === 'bad' ? 'bg-bad-soft' : 'bg-warn-soft';
	return (
		<div className={`flex items-start gap-2 rounded-md px-3 py-2 text-xs ${look}`} role={tone === 'bad' ? 'alert' : 'note'}>
			<Icon name="warn" className={`mt-0.5 ${tone === 'bad' ? 'text-bad' : 'text-warn'}`} />
			<div className="min-w-0 flex-1">
				{title && <p className="font-medium">{title}</p>}
				{children}
			</div>
			{action}
		</div>
	);
}

/** Any failure, with its hint and the id that finds it in the server's log. */
export function ErrorNotice({error, action}: {readonly error: unknown; readonly action?: ReactNode}) {
	const {message, hint, requestId} = describe(error);
	return (
		<Notice tone="bad" title={message} action={action}>
			{hint && <p className="text-muted">{hint}</p>}
			{requestId && <p className="font-mono text-2xs text-muted">request {requestId}</p>}
		</Notice>
	);
}

export function describe(error: unknown): {message: string; hint?: string | undefined; requestId?: string | undefined} {
	if (error instanceof ApiError) return error;
	return {message: error instanceof Error ? error.message : 'Something went wrong in this page.', hint: 'Reload the page.'};
}

export function Empty({title, children}: {readonly title: string; readonly children?: ReactNode}) {
	return (
		<div className="grid h-full min-h-32 place-items-center p-6 text-center text-muted">
			<div className="max-w-sm">
				<p className="font-medium text-fg">{title}</p>
				{children && <div className="mt-1 text-xs">{children}</div>}
			</div>
		</div>
	);
}

export function Loading({label}: {readonly label: string}) {
	return (
		<div role="status" className="flex items-center gap-2 p-4 text-xs text-muted">
			<span className="pulse size-2 rounded-full bg-accent" aria-hidden="true" />
			{label}
		</div>
	);
}
