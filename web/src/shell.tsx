import {useQuery} from '@tanstack/react-query';
import {Link, Outlet, useRouterState} from '@tanstack/react-router';
import {Dialog} from 'radix-ui';
import {type ReactNode, useEffect, useState} from 'react';
import type {Role} from '#contract/identity.ts';
import {meQuery} from './api/identity.ts';
import {approvalsQuery, readyQuery} from './api/queries.ts';
import {ThreadList} from './chat/thread-list.tsx';
import {StopSwitch} from './system/stop-switch.tsx';
import {TokenDialog} from './token-dialog.tsx';
import {Button} from './ui/button.tsx';
import {Icon, type IconName} from './ui/icon.tsx';
import {setTheme, type Theme, useTheme} from './ui/theme.ts';

/** What surrounds every screen: where one can go, the conversations, and whether the server is well. */
export function Shell() {
	const path = useRouterState({select: (state) => state.location.pathname});
	const [drawer, setDrawer] = useState(false);
	// biome-ignore lint/correctness/useExhaustiveDependencies: the drawer closes when the place changes
	useEffect(() => setDrawer(false), [path]);
	return (
		<div className="flex h-full flex-col md:flex-row">
			<a href="#main" className="skip-link rounded-md bg-accent px-3 py-1.5 font-medium text-on-accent">
				Skip to content
			</a>
			<nav aria-label="Writ" className="hidden w-52 shrink-0 flex-col border-line border-r bg-panel md:flex">
				<SideBar />
			</nav>
			<header className="flex h-11 shrink-0 items-center gap-2 border-line border-b bg-panel px-2 md:hidden">
				<Dialog.Root open={drawer} onOpenChange={setDrawer}>
					<Dialog.Trigger asChild>
						<Button look="quiet" square aria-label="Menu">
							<Icon name="menu" />
						</Button>
					</Dialog.Trigger>
					<Dialog.Portal>
						<Dialog.Overlay className="fixed inset-0 z-40 bg-black/40" />
						<Dialog.Content
							aria-describedby={undefined}
							className="fixed inset-y-0 left-0 z-50 flex w-64 flex-col border-line border-r bg-panel"
						>
							<Dialog.Title className="sr-only">Menu</Dialog.Title>
							<SideBar onDone={() => setDrawer(false)} />
						</Dialog.Content>
					</Dialog.Portal>
				</Dialog.Root>
				<Brand />
				<span className="ml-auto">
					<StopSwitch />
				</span>
			</header>
			<main id="main" tabIndex={-1} className="min-h-0 min-w-0 flex-1 outline-none">
				<Outlet />
			</main>
			<TokenDialog />
		</div>
	);
}

function Brand() {
	return (
		<span className="flex items-center gap-2 font-semibold text-sm">
			<svg
				viewBox="0 0 16 16"
				className="size-4 text-accent"
				aria-hidden="true"
				fill="none"
				stroke="currentColor"
				strokeWidth="1.8"
				strokeLinecap="round"
				strokeLinejoin="round"
			>
				<path d="M1.5 4 4.8 12 8 5.6 11.2 12 14.5 4" />
			</svg>
			Writ
		</span>
	);
}

function SideBar({onDone}: {readonly onDone?: () => void}) {
	return (
		<>
			<div className="hidden h-11 items-center justify-between pr-2 pl-4 md:flex">
				<Brand />
				<StopSwitch />
			</div>
			<ul className="flex flex-col gap-px p-2">
				<Place to="/" icon="chat" label="Ask" />
				<Place to="/datasets" icon="data" label="Datasets" />
				<Place to="/runs" icon="runs" label="Runs" />
				<Place to="/approvals" icon="approve" label="Inbox" extra={<WaitingCount />} />
				<PlaceFor roles={['auditor', 'admin']} to="/audit" icon="shield" label="Audit" />
				<Place to="/system" icon="system" label="System" />
				<PlaceFor roles={['admin']} to="/accounts" icon="people" label="Accounts" />
				<Place to="/account" icon="person" label="Account" extra={<WhoIAm />} />
			</ul>
			<ThreadList {...(onDone ? {onDone} : {})} />
			<div className="mt-auto flex items-center justify-between border-line border-t py-2 pr-2 pl-4">
				<Readiness />
				<ThemeSwitch />
			</div>
		</>
	);
}

type PlaceProps = {
	readonly to: '/' | '/datasets' | '/runs' | '/approvals' | '/audit' | '/system' | '/account' | '/accounts';
	readonly icon: IconName;
	readonly label: string;
	readonly extra?: ReactNode;
};

function Place({to, icon, label, extra}: PlaceProps) {
	return (
		<li>
			<Link
				to={to}
				activeOptions={{exact: to === '/'}}
				className="flex h-7 items-center gap-2 rounded-md px-2 font-medium text-muted hover:bg-hover hover:text-fg"
				activeProps={{className: 'bg-hover text-fg!'}}
			>
				<Icon name={icon} />
				{label}
				{extra}
			</Link>
		</li>
	);
}

/** Nobody is shown a way to where they may not go. */
function PlaceFor({roles, ...place}: PlaceProps & {readonly roles: readonly Role[]}) {
	const {data} = useQuery(meQuery);
	return data?.roles.some((role) => roles.includes(role)) ? <Place {...place} /> : null;
}

function WhoIAm() {
	const {data} = useQuery(meQuery);
	if (!data || data.by === 'open') return null;
	return <span className="ml-auto max-w-20 truncate text-2xs text-muted">{data.name}</span>;
}

function WaitingCount() {
	const waiting = useQuery(approvalsQuery('pending')).data?.approvals.length ?? 0;
	if (waiting === 0) return null;
	return (
		<span className="ml-auto rounded-full bg-warn-soft px-1.5 text-2xs text-warn">
			{waiting}
			<span className="sr-only"> waiting</span>
		</span>
	);
}

function Readiness() {
	const {data, isError, isPending} = useQuery(readyQuery);
	const [color, label] = isError
		? ['text-bad', 'No connection']
		: isPending
			? ['text-faint', 'Connecting']
			: data.status === 'ready'
				? ['text-ok', 'Ready']
				: ['text-warn', 'Not ready'];
	return (
		<Link to="/system" className="inline-flex items-center gap-1.5 rounded text-muted text-xs hover:text-fg">
			<span className={`size-2 rounded-full bg-current ${color}`} aria-hidden="true" />
			<span role="status">{label}</span>
		</Link>
	);
}

const NEXT: Readonly<Record<Theme, Theme>> = {system: 'light', light: 'dark', dark: 'system'};
const THEME_ICONS = {system: 'screen', light: 'sun', dark: 'moon'} as const;

function ThemeSwitch() {
	const theme = useTheme();
	return (
		<Button
			look="quiet"
			square
			onClick={() => setTheme(NEXT[theme])}
			aria-label={`Theme: ${theme}. Switch to ${NEXT[theme]}`}
			title={`Theme: ${theme}`}
		>
			<Icon name={THEME_ICONS[theme]} />
		</Button>
	);
}
