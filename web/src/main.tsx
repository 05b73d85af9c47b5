import './styles.css';
import {QueryClient, QueryClientProvider} from '@tanstack/react-query';
import {RouterProvider} from '@tanstack/react-router';
import {StrictMode} from 'react';
import {createRoot} from 'react-dom/client';
import {ApiError} from './api/client.ts';
import {createChatSession} from './chat/session.ts';
import {ChatContext} from './chat/use-chat.ts';
import {createPageRouter} from './router.tsx';

const queries = new QueryClient({
	defaultOptions: {
		queries: {
			// What the server refuses once it will refuse again; a server that is away may come back.
			retry: (failures, error) => error instanceof ApiError && error.code === 'unreachable' && failures < 3,
			staleTime: 2_000,
		},
	},
});
const chat = createChatSession(queries);
void chat.start();

const root = document.getElementById('root');
if (!root) throw new Error('the page has no root element');
createRoot(root).render(
	<StrictMode>
		<QueryClientProvider client={queries}>
			<ChatContext value={chat}>
				<RouterProvider router={createPageRouter()} />
			</ChatContext>
		</QueryClientProvider>
	</StrictMode>,
);
