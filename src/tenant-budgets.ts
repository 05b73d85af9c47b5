import type {Event, EventData} from '#contract/event.ts';
import type {PolicyDocument, TenantBudget} from '#contract/policy.ts';
import type {AppendBatch, Store} from '#kernel/ports.ts';
import type {Amounts, Spend} from '#kernel/spend.ts';
import type {LivePolicy} from '#policy/live.ts';

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
	const wants = {tokens: model ? run.tokens : 0, costMicros: model ? micros(run.money) : 0, bytes: run.bytes};
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
