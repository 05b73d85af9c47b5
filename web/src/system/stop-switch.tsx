import {useMutation, useQuery, useQueryClient} from '@tanstack/react-query';
import {Dialog} from 'radix-ui';
import {type FormEvent, useState} from 'react';
import type {Mode, ModeReply} from '#contract/mode.ts';
import {postJson} from '../api/client.ts';
import {modeQuery} from '../api/queries.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';

/** Stops the whole platform, or lets it go on; says who did the last. On every screen. */
export function StopSwitch() {
	const {data} = useQuery(modeQuery);
	const [open, setOpen] = useState(false);
	if (!data) return null;
	const stopped = data.mode !== 'execute';
	return (
		<Dialog.Root open={open} onOpenChange={setOpen}>
			<Dialog.Trigger asChild>
				<Button
					look={stopped ? 'primary' : 'danger'}
					aria-label={stopped ? 'Stopped. Let the platform go on' : 'Stop everything'}
				>
					<Icon name="stop" />
					{stopped ? (data.mode === 'observe' ? 'Stopped' : 'Proposing') : 'Stop'}
				</Button>
			</Dialog.Trigger>
			<Dialog.Portal>
				<Dialog.Overlay className="fixed inset-0 z-40 bg-black/40" />
				<Dialog.Content className="fixed top-[20%] left-1/2 z-50 w-[min(420px,calc(100vw-32px))] -translate-x-1/2 rounded-lg border border-line bg-raised p-4 shadow-pop">
					<Dialog.Title className="font-medium text-base">
						{stopped ? 'Let the platform go on?' : 'Stop everything?'}
					</Dialog.Title>
					<Dialog.Description className="mt-1 text-muted text-xs">{describe(data)}</Dialog.Description>
					<ChangeForm mode={stopped ? 'execute' : 'observe'} onDone={() => setOpen(false)} />
				</Dialog.Content>
			</Dialog.Portal>
		</Dialog.Root>
	);
}

function describe({mode, by, reason, asked, held}: ModeReply): string {
	if (mode === 'execute')
		return 'On every server: what runs is ended, what waits for a person is cancelled, and nothing starts until somebody lets it.';
	const why = reason === '' ? '' : `: ${reason}`;
	const wish = asked ? ` ${asked.by.id} wants it to go on; another person has to agree.` : '';
	const reach = held ? ' It is not on record yet: only this server has stopped.' : '';
	return `${by?.id ?? 'Somebody'} stopped it${why}.${reach}${wish}`;
}

function ChangeForm({mode, onDone}: {readonly mode: Mode; readonly onDone: () => void}) {
	const queries = useQueryClient();
	const change = useMutation({
		mutationFn: (reason: string) => postJson<ModeReply>('/api/v1/kill-switch', {mode, reason}),
		onSuccess: (state) => {
			queries.setQueryData(modeQuery.queryKey, state);
			void queries.invalidateQueries();
			onDone();
		},
	});
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		change.mutate(String(new FormData(event.currentTarget).get('reason') ?? ''));
	};
	return (
		<form onSubmit={submit} className="mt-3 flex flex-wrap gap-2">
			<label className="sr-only" htmlFor="stop-reason">
				Reason
			</label>
			<input id="stop-reason" name="reason" placeholder="Why?" autoComplete="off" className={`${FIELD} flex-1`} />
			<Button look={mode === 'observe' ? 'danger' : 'primary'} type="submit" disabled={change.isPending}>
				{mode === 'observe' ? 'Stop everything' : 'Let it go on'}
			</Button>
			{change.isError && (
				<p role="alert" className="w-full text-bad text-xs">
					{change.error.message}
				</p>
			)}
		</form>
	);
}
