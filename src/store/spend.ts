/**
 * What the runs of a tenant may use within a window: reserved in the transaction that starts a run, settled in the one that ends it.
 * Pure, and the same for every implementation: they load the rows under a lock, ask here, and write the answer with the events.
 */
import {WritError} from '#contract/errors.ts';
import type {Amounts, Spend} from '#kernel/spend.ts';
import {storable} from './project.ts';

/** What a tenant's runs have used or reserved in one window. */
export type UseRow = Amounts & {readonly tenant: string; readonly window: string; readonly runs: number};

/** What a run that has not finished holds back for itself. */
export type ReservationRow = Amounts & {readonly runId: string; readonly tenant: string; readonly window: string};

/** The rows of one tenant: every reservation, and the use of each window that one of them or the batch is about. */
export type Ledger = {readonly uses: readonly UseRow[]; readonly reservations: readonly ReservationRow[]};

export const NO_LEDGER: Ledger = {uses: [], reservations: []};

/** The windows a ledger has to hold before `spend` can be judged. */
export function windowsOf(spend: Spend, reservations: readonly ReservationRow[]): readonly string[] {
	const held = reservations.map(({window}) => window);
	return [...new Set(spend.kind === 'reserve' ? [spend.window, ...held] : held)];
}

/** The ledger after a change. */
export function changed({uses, reservations}: Ledger, {use, added, removed}: LedgerChange): Ledger {
	return {
		uses: [...uses.filter(({window}) => window !== use.window), use],
		reservations: [...reservations.filter(({runId}) => runId !== removed?.runId), ...(added ? [added] : [])],
	};
}

/** `use` replaces the row of its window. */
export type LedgerChange = {readonly use: UseRow; readonly added?: ReservationRow; readonly removed?: ReservationRow};

/** Throws `budget_exceeded`, naming the budget; then the run may not start. Null when there is nothing to write. */
export function spendFrom({uses, reservations}: Ledger, runId: string, spend: Spend): LedgerChange | null {
	const tenant = storable(spend.tenant);
	const held = reservations.find((one) => one.runId === runId);
	const rowOf = (window: string) => uses.find((row) => row.window === window) ?? {tenant, window, runs: 0, ...NOTHING};
	if (spend.kind === 'settle') {
		if (!held) return null;
		const use = rowOf(held.window);
		const settled = mapAmounts((name) => Math.max(0, use[name] - held[name] + spend.used[name]));
		return {use: {...use, ...settled}, removed: held};
	}
	if (held) return null;
	const {window, wants} = spend;
	const use = rowOf(window);
	assertRoom(spend, use, reservations.length);
	const reserved = mapAmounts((name) => use[name] + wants[name]);
	return {use: {...use, ...reserved, runs: use.runs + 1}, added: {runId, tenant, window, ...wants}};
}

const NOTHING: Amounts = {tokens: 0, costMicros: 0, bytes: 0};

function mapAmounts(amountOf: (name: keyof Amounts) => number): Amounts {
	return {tokens: amountOf('tokens'), costMicros: amountOf('costMicros'), bytes: amountOf('bytes')};
}

/** INVARIANT: what is asked is whether there is room, so that an amount that is not a number is refused. */
function assertRoom({limits, wants, window}: Extract<Spend, {kind: 'reserve'}>, use: UseRow, open: number): void {
	const asked = [
		{name: 'runs', what: 'runs', used: use.runs, want: 1, limit: limits.runs},
		{name: 'concurrency', what: 'runs at the same time', used: open, want: 1, limit: limits.concurrency},
		{name: 'tokens', what: 'tokens', used: use.tokens, want: wants.tokens, limit: limits.tokens},
		{name: 'money', what: 'millionths of a US dollar', used: use.costMicros, want: wants.costMicros, limit: limits.costMicros},
		{name: 'bytes', what: 'bytes', used: use.bytes, want: wants.bytes, limit: limits.bytes},
	];
	const over = asked.find(({used, want, limit}) => limit !== undefined && !(used + want <= limit));
	if (!over) return;
	const {name, what, used, want, limit} = over;
	throw new WritError(
		'budget_exceeded',
		`the tenant may use ${limit} ${what}${name === 'concurrency' ? '' : ` in ${window}`}: ${used} are used or reserved, and this run would reserve ${want}`,
		{
			hint: `wait, or ask whoever keeps policy.yaml to raise \`budgets.tenant.${name}\``,
			details: {budget: `tenant:${name}`, limit, used, wants: want, window},
		},
	);
}
