import {useQueryClient} from '@tanstack/react-query';
import {Dialog} from 'radix-ui';
import {type FormEvent, useState} from 'react';
import {access, clearToken, setToken} from './api/client.ts';
import {forgetConversation} from './chat/session.ts';
import {useChat} from './chat/use-chat.ts';
import {Button, FIELD} from './ui/button.tsx';
import {Notice} from './ui/notice.tsx';
import {useStore} from './ui/store.ts';

/** Asks for a token when a server that others can reach refuses; it is kept until the tab closes. */
export function TokenDialog() {
	const {wanted, token, provider} = useStore(access);
	const [refused] = useState(takeRefusal);
	const queries = useQueryClient();
	const {session} = useChat();
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const given = new FormData(event.currentTarget).get('token');
		if (typeof given !== 'string' || given.trim() === '') return;
		const isOther = token !== null && token !== given.trim();
		setToken(given.trim());
		if (isOther) {
			// INVARIANT: what was loaded with one token is never shown to whoever has another.
			forgetConversation();
			window.location.assign('/');
			return;
		}
		void queries.invalidateQueries();
		void session.start();
	};
	return (
		<Dialog.Root open={wanted} onOpenChange={(open) => !open && access.set({token, wanted: false, provider})}>
			<Dialog.Portal>
				<Dialog.Overlay className="fixed inset-0 z-40 bg-bg" />
				<Dialog.Content className="fixed top-[20%] left-1/2 z-50 w-[min(400px,calc(100vw-32px))] -translate-x-1/2 rounded-lg border border-line bg-raised p-4 shadow-pop">
					<Dialog.Title className="font-medium text-base">{provider ? 'Who are you?' : 'This server wants a token'}</Dialog.Title>
					{refused && (
						<div className="mt-2">
							<Notice tone="bad" title={refused} />
						</div>
					)}
					{provider && (
						<a
							href="/auth/sign-in"
							onClick={clearToken}
							className="mt-3 flex h-8 items-center justify-center rounded-md bg-accent font-medium text-on-accent text-xs hover:brightness-110"
						>
							Sign in with {provider}
						</a>
					)}
					<Dialog.Description className="mt-2 text-muted text-xs">
						{provider ? 'Or use a token.' : 'Whoever runs it can give you one.'} It stays in this tab and goes nowhere else.
					</Dialog.Description>
					<form onSubmit={submit} className="mt-3 flex gap-2">
						<label className="sr-only" htmlFor="token">
							Token
						</label>
						<input id="token" name="token" type="password" autoComplete="off" className={`${FIELD} flex-1`} />
						<Button look="primary" type="submit">
							Continue
						</Button>
					</form>
				</Dialog.Content>
			</Dialog.Portal>
		</Dialog.Root>
	);
}

const REFUSALS: Readonly<Record<string, string>> = {
	forbidden: 'You signed in, but nobody has given you access here. Ask whoever runs this server for a role.',
	identity_unavailable: 'The identity provider does not answer. Try again shortly.',
};

/** Why a sign-in came to nothing, as its redirect says; told once. */
function takeRefusal(): string | null {
	const code = new URLSearchParams(window.location.search).get('sign_in');
	if (code === null) return null;
	window.history.replaceState(null, '', window.location.pathname);
	return REFUSALS[code] ?? 'That sign-in did not work. Begin again.';
}
