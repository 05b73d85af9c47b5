import {createRootRoute, createRoute, createRouter, Link, lazyRouteComponent} from '@tanstack/react-router';
import {ChatScreen} from './chat/chat-screen.tsx';
import {Shell} from './shell.tsx';
import {Empty, ErrorNotice, Loading} from './ui/notice.tsx';

const root = createRootRoute({component: Shell});

const chat = createRoute({getParentRoute: () => root, path: '/', component: ChatScreen});
const datasets = createRoute({
	getParentRoute: () => root,
	path: '/datasets',
	component: lazyRouteComponent(() => import('./datasets/datasets-screen.tsx'), 'DatasetsScreen'),
});
const dataset = createRoute({
	getParentRoute: () => datasets,
	path: '/$datasetId',
	component: lazyRouteComponent(() => import('./datasets/dataset-screen.tsx'), 'DatasetScreen'),
});
const runs = createRoute({
	getParentRoute: () => root,
	path: '/runs',
	component: lazyRouteComponent(() => import('./runs/runs-screen.tsx'), 'RunsScreen'),
});
const run = createRoute({
	getParentRoute: () => root,
	path: '/runs/$runId',
	component: lazyRouteComponent(() => import('./runs/run-screen.tsx'), 'RunScreen'),
});
const approvals = createRoute({
	getParentRoute: () => root,
	path: '/approvals',
	component: lazyRouteComponent(() => import('./inbox/inbox-screen.tsx'), 'InboxScreen'),
});
const audit = createRoute({
	getParentRoute: () => root,
	path: '/audit',
	component: lazyRouteComponent(() => import('./evidence/audit-screen.tsx'), 'AuditScreen'),
});
const system = createRoute({
	getParentRoute: () => root,
	path: '/system',
	component: lazyRouteComponent(() => import('./system/system-screen.tsx'), 'SystemScreen'),
});

const account = createRoute({
	getParentRoute: () => root,
	path: '/account',
	component: lazyRouteComponent(() => import('./account/account-screen.tsx'), 'AccountScreen'),
});

const accounts = createRoute({
	getParentRoute: () => root,
	path: '/accounts',
	component: lazyRouteComponent(() => import('./accounts/accounts-screen.tsx'), 'AccountsScreen'),
});

export function createPageRouter() {
	return createRouter({
		routeTree: root.addChildren([chat, datasets.addChildren([dataset]), runs, run, approvals, audit, system, account, accounts]),
		defaultPreload: 'intent',
		defaultPendingComponent: () => <Loading label="Loading" />,
		defaultErrorComponent: ({error}) => (
			<div className="p-4">
				<ErrorNotice error={error} />
			</div>
		),
		defaultNotFoundComponent: () => (
			<div className="h-full">
				<h1 className="sr-only">Not found</h1>
				<Empty title="There is nothing at this address">
					<Link to="/" className="text-accent underline">
						Back to the conversation
					</Link>
				</Empty>
			</div>
		),
	});
}

declare module '@tanstack/react-router' {
	interface Register {
		router: ReturnType<typeof createPageRouter>;
	}
}
