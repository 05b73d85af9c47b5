import type {BudgetReply} from '#contract/budget.ts';
import type {Event, EventData} from '#contract/event.ts';
import type {PolicyDocument, TenantBudget} from '#contract/policy.ts';
import type {AppendBatch, Clock, Store} from '#kernel/ports.ts';
import type {Amounts, Spend} from '#kernel/spend.ts';
import type {LivePolicy} from '#policy/live.ts';
import {RUN_MONEY} from '#policy/money.ts';
import type {TenantStorage} from './storage.ts';

/**
 * A store in which a run reserves what it may use of its tenant's budget when it starts, and settles what it used when it ends, each in
 * the transaction of that very event. `append` throws `budget_exceeded` when too little is left: then the run did not start.
 */
export function withTenantBudgets(store: Store, policy: LivePolicy): Store {
	const reserved = new Set<string>();
	return {
		...store,
		async append(batch) {
			const {budgets} = policy.current().document;
			const spend =
				(await settling(batch, {store, wanted: budgets.tenant !== undefined || reserved.has(batch.runId)})) ??
				reserving(batch, budgets);
			await store.append(spend ? {...batch, spend} : batch);
			if (spend?.kind === 'reserve') reserved.add(batch.runId);
			if (spend?.kind === 'settle') reserved.delete(batch.runId);
		},
	};
}

function reserving({events: [first]}: AppendBatch, {run, tenant: budget}: PolicyDocument['budgets']): Spend | null {
	// What the platform does for itself, such as loading a policy, is not the tenant's to pay.
	if (budget === undefined || first?.type !== 'run.started' || first.data.job === 'system') return null;
	const model = asksModel(first.data);
	const wants = {tokens: model ? run.tokens : 0, costMicros: model ? micros(run.money ?? RUN_MONEY) : 0, bytes: run.bytes};
	const {tenant} = first.data.principal;
	return {kind: 'reserve', tenant, window: windowOf(first.at, budget.window), wants, limits: limitsOf(budget)};
}

type Settling = {readonly store: Pick<Store, 'read'>; readonly wanted: boolean};

async function settling({runId, events}: AppendBatch, {store, wanted}: Settling): Promise<Spend | null> {
	if (!wanted || !events.some(({type}) => type === 'run.finished')) return null;
	const all = [...(await store.read(runId)), ...events];
	const [first] = all;
	return first?.type === 'run.started' ? {kind: 'settle', tenant: first.data.principal.tenant, used: usedBy(all)} : null;
}

function usedBy(events: readonly Event[]): Amounts {
	let [tokens, costUsd, bytes] = [0, 0, 0];
	for (const event of events) {
		if (event.type === 'action.outcome') bytes += event.data.usage?.outputBytes ?? 0;
		if (event.type !== 'model.responded') continue;
		tokens += event.data.inputTokens + event.data.outputTokens;
		costUsd += event.data.costUsd;
	}
	return {tokens, costMicros: micros(costUsd), bytes};
}

/** Code, queries and plans that a person sent run without a model. */
function asksModel({job, mode}: EventData<'run.started'>): boolean {
	return job !== 'analyst' || mode === 'chat';
}

function limitsOf({runs, concurrency, tokens, money, bytes}: TenantBudget): Extract<Spend, {kind: 'reserve'}>['limits'] {
	return {
		...(runs === undefined ? {} : {runs}),
		...(concurrency === undefined ? {} : {concurrency}),
		...(tokens === undefined ? {} : {tokens}),
		...(money === undefined ? {} : {costMicros: micros(money)}),
		...(bytes === undefined ? {} : {bytes}),
	};
}

/** Rounded up: a part of a millionth counts whole. */
function micros(usd: number): number {
	return Math.ceil(usd * 1_000_000);
}

const DIGITS = {month: 7, day: 10, hour: 13} as const;

function windowOf(at: string, window: TenantBudget['window']): string {
	return new Date(at).toISOString().slice(0, DIGITS[window]);
}

type Accounts = {
	readonly store: Pick<Store, 'quota'>;
	readonly policy: Pick<LivePolicy, 'current'>;
	readonly storage: Pick<TenantStorage, 'use'>;
	readonly clock: Clock;
};

/** What a tenant may use, has used and has reserved. */
export async function tenantBudget(tenant: string, {store, policy, storage, clock}: Accounts): Promise<BudgetReply> {
	const stored = {...(await storage.use(tenant)), name: 'storage', unit: 'bytes', renewsAt: null} as const;
	const budget = policy.current().document.budgets.tenant;
	if (budget === undefined) return {tenant, window: null, budgets: [stored]};
	const now = clock.now();
	const window = windowOf(now.toISOString(), budget.window);
	const {used, reserved, open} = await store.quota.spent(tenant, window);
	const renewsAt = endOf(now, budget.window);
	const limit = (name: 'runs' | 'concurrency' | 'tokens' | 'money' | 'bytes') => budget[name] ?? null;
	const money = {used: used.costMicros / 1_000_000, reserved: reserved.costMicros / 1_000_000};
	return {
		tenant,
		window: budget.window,
		budgets: [
			{name: 'runs', unit: 'runs', limit: limit('runs'), used: used.runs, reserved: 0, renewsAt},
			{name: 'concurrency', unit: 'runs', limit: limit('concurrency'), used: open, reserved: 0, renewsAt: null},
			{name: 'tokens', unit: 'tokens', limit: limit('tokens'), used: used.tokens, reserved: reserved.tokens, renewsAt},
			{name: 'money', unit: 'US dollars', limit: limit('money'), ...money, renewsAt},
			{name: 'bytes', unit: 'bytes', limit: limit('bytes'), used: used.bytes, reserved: reserved.bytes, renewsAt},
			stored,
		],
	};
}

/** When the next window begins, in UTC as windows are. */
function endOf(now: Date, window: TenantBudget['window']): string {
	const [year, month, day, hour] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate(), now.getUTCHours()];
	const next = {
		month: Date.UTC(year, month + 1),
		day: Date.UTC(year, month, day + 1),
		hour: Date.UTC(year, month, day, hour + 1),
	};
	return new Date(next[window]).toISOString();
}
