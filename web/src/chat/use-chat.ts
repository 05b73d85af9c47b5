import {createContext, use} from 'react';
import {useStore} from '../ui/store.ts';
import type {ChatSession} from './session.ts';

export const ChatContext = createContext<ChatSession | null>(null);

export function useChat() {
	const session = use(ChatContext);
	if (!session) throw new Error('a screen outside of the page');
	return {session, state: useStore(session.store)};
}
