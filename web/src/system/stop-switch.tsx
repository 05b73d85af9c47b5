import {useMutation, useQuery, useQueryClient} from '@tanstack/react-query';
import {Dialog} from 'radix-ui';
import {type FormEvent, useState} from 'react';
import type {Me} from '#contract/identity.ts';
import type {ModeReply, ModeRequest, ModeScope} from '#contract/mode.ts';
import {postJson} from '../api/client.ts';
import {meQuery} from '../api/identity.ts';
import {modeQuery} from '../api/queries.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';

type Stopped = Pick<ModeReply, 'mode' | 'by' | 'reason' | 'asked' | 'held'>;

/** What the switch is for: the platform, or of it what is one's own, and whether one may use it. */
type Standing = {
	readonly stopped: Stopped | undefined;
	readonly may: boolean;
	readonly role: 'platform' | 'admin';
	readonly what: string;
	readonly scope?: ModeScope;
};

function standingOf(data: ModeReply, {roles, tenant}: Me): Standing {
	const ofTenant = data.scoped.find(({scope, mode}) => mode !== 'execute' && !scope.agent && !scope.tool);
	const stopped = data.mode === 'execute' ? ofTenant : data;
	const isWhole = stopped ? data.mode !== 'execute' : roles.includes('platform');
	const role = isWhole ? 'platform' : 'admin';
	return {
		stopped,
		role,
		may: roles.includes(role),
		...(isWhole ? {what: 'the platform'} : {what: `all of ${tenant}`, scope: {tenant}}),
	};
}

/** Stops the whole platform, or what one may stop of it, and lets it go on; says who did the last. On every screen. */
export function StopSwitch() {
	const {data} = useQuery(modeQuery);
	const {data: me} = useQuery(meQuery);
	const [open, setOpen] = useState(false);
	if (!data || !me) return null;
	const standing = standingOf(data, me);
	const {stopped, may, role, what, scope} = standing;
	if (!stopped && !may) return null;
	return (
		<Dialog.Root open={open} onOpenChange={setOpen}>
			<Dialog.Trigger asChild>
				<Button look={stopped ? 'primary' : 'danger'} aria-label={labelOf(standing)}>
					<Icon name="stop" />
					{stopped ? nameOf(stopped) : 'Stop'}
				</Button>
			</Dialog.Trigger>
			<Dialog.Portal>
				<Dialog.Overlay className="fixed inset-0 z-40 bg-black/40" />
				<Dialog.Content className="fixed top-[20%] left-1/2 z-50 w-[min(420px,calc(100vw-32px))] -translate-x-1/2 rounded-lg border border-line bg-raised p-4 shadow-pop">
					<Dialog.Title className="font-medium text-base">
						{stopped && may ? `Let ${what} go on?` : `${labelOf(standing)}${stopped ? '' : '?'}`}
					</Dialog.Title>
					<Dialog.Description className="mt-1 text-muted text-xs">{describe(stopped)}</Dialog.Description>
					{may ? (
						<ChangeForm wanted={{mode: stopped ? 'execute' : 'observe', ...(scope && {scope})}} onDone={() => setOpen(false)} />
					) : (
						<p className="mt-2 text-xs">It takes the role {role} to let it go on.</p>
					)}
				</Dialog.Content>
			</Dialog.Portal>
		</Dialog.Root>
	);
}

function labelOf({stopped, may, what, scope}: Standing): string {
	if (!stopped) return `Stop ${scope ? what : 'everything'}`;
	return `${nameOf(stopped)}. ${may ? `Let ${what} go on` : `It is ${what}`}`;
}

const nameOf = ({mode}: Stopped) => (mode === 'observe' ? 'Stopped' : 'Proposing');

function describe(stopped: Stopped | undefined): string {
	if (!stopped)
		return 'On every server: what runs is ended, what waits for a person is cancelled, and nothing starts until somebody lets it.';
	const {by, reason, asked, held} = stopped;
	const why = reason === '' ? '' : `: ${reason}`;
	const wish = asked ? ` ${asked.by.id} wants it to go on; another person has to agree.` : '';
	const reach = held ? ' It is not on record yet: only this server has stopped.' : '';
	return `${by?.id ?? 'Somebody'} stopped it${why}.${reach}${wish}`;
}

type Wanted = Pick<ModeRequest, 'mode' | 'scope'>;

function ChangeForm({wanted, onDone}: {readonly wanted: Wanted; readonly onDone: () => void}) {
	const {mode} = wanted;
	const queries = useQueryClient();
	const change = useMutation({
		mutationFn: (reason: string) => postJson<ModeReply>('/api/v1/kill-switch', {...wanted, reason}),
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
				{mode !== 'observe' ? 'Let it go on' : wanted.scope ? 'Stop it' : 'Stop everything'}
			</Button>
			{change.isError && (
				<p role="alert" className="w-full text-bad text-xs">
					{change.error.message}
				</p>
			)}
		</form>
	);
}
