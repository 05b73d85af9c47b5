import {useQueryClient} from '@tanstack/react-query';
import {Dialog} from 'radix-ui';
import type {FormEvent} from 'react';
import {access, setToken} from './api/client.ts';
import {useChat} from './chat/use-chat.ts';
import {Button, FIELD} from './ui/button.tsx';
import {useStore} from './ui/store.ts';

/** Asks for a token when a server that others can reach refuses; it is kept until the tab closes. */
export function TokenDialog() {
	const {wanted, token} = useStore(access);
	const queries = useQueryClient();
	const {session} = useChat();
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const given = new FormData(event.currentTarget).get('token');
		if (typeof given !== 'string' || given.trim() === '') return;
		setToken(given.trim());
		void queries.invalidateQueries();
		void session.start();
	};
	return (
		<Dialog.Root open={wanted} onOpenChange={(open) => !open && access.set({token, wanted: false})}>
			<Dialog.Portal>
				<Dialog.Overlay className="fixed inset-0 z-40 bg-black/40" />
				<Dialog.Content className="fixed top-[20%] left-1/2 z-50 w-[min(400px,calc(100vw-32px))] -translate-x-1/2 rounded-lg border border-line bg-raised p-4 shadow-pop">
					<Dialog.Title className="font-medium text-base">This server wants a token</Dialog.Title>
					<Dialog.Description className="mt-1 text-muted text-xs">
						Whoever runs it can give you one. It stays in this tab and goes nowhere else.
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
