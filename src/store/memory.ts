/**
 * Stores: the events of runs, and the rows projected from them, behind the one port `Store`. This one, in memory, is the shortest
 * to read; SQLite and PostgreSQL share its rules (admit.ts, project.ts) and its tests. All SQL of the platform is in this room, and
 * no decision about an action: what is refused here is a second writer or a second use, never a proposal.
 */
import type {Event} from '#contract/event.ts';
import type {AppendBatch, ApprovalRow, GrantRow, MessageRow, RunRow, Store, ThreadRow} from '#kernel/ports.ts';
import type {QuotaStore, StorageState} from '#kernel/quota-store.ts';
import {admit, awaitedChange, type Changes, type RunState} from './admit.ts';
import {matchAudit, parseAuditFilter, toAuditPage} from './audit.ts';
import {assertLimit, type Filter, parseFilter, toPage} from './filter.ts';
import {NO_LETTERS} from './letter-name.ts';
import {openMemoryIdentity} from './memory-identity.ts';
import {fold, NO_LEASE, storable, toInstant} from './project.ts';
import {type AuditDraft, projectAudit} from './project-audit.ts';
import {NOTHING_STORED, storageAfter, windowUse} from './quota.ts';
import {NO_RETENTION} from './retention.ts';
import {changed, type Ledger, NO_LEDGER} from './spend.ts';
import {parseRows, type StoredEvent, toRaw} from './stored-event.ts';
import {Watchers} from './watchers.ts';

type Tables = {
	readonly runs: Map<string, RunState>;
	readonly events: Map<string, Event[]>;
	readonly approvals: Map<string, ApprovalRow>;
	readonly grants: GrantRow[];
	readonly messages: (MessageRow & {readonly tenant: string})[];
	readonly heads: Map<string, string>;
	/** by tenant */
	readonly ledgers: Map<string, Ledger>;
	readonly storage: Map<string, StorageState>;
};

/** A store that lives and dies with the process: for tests and benchmarks. The same contract as the durable ones, minus durability. */
export function openMemory(): Store {
	const tables: Tables = {
		runs: new Map(),
		events: new Map(),
		approvals: new Map(),
		grants: [],
		messages: [],
		heads: new Map(),
		ledgers: new Map(),
		storage: new Map(),
	};
	const read = async (runId: string, after = 0) => parseRows(runId, after, rowsOf(tables, runId, after));
	const watchers = new Watchers({read});
	const identity: {store?: ReturnType<typeof openMemoryIdentity>} = {};
	return {
		get identity() {
			identity.store ??= openMemoryIdentity();
			return identity.store;
		},
		...{retention: NO_RETENTION, letters: NO_LETTERS},
		quota: createQuota(tables),
		async append(batch) {
			write(tables, admit(batch, before(tables, batch)));
			watchers.wake(batch.runId);
		},
		read,
		rawEvents: async (runId) => rowsOf(tables, runId).map(toRaw),
		subscribe: (runId, after, signal) => watchers.follow(runId, after, signal),
		...createLists(tables),
		head: async (runId) => JSON.parse(tables.heads.get(runId) ?? 'null'),
		...createLeases(tables),
		run: async (runId) => toRow(tables.runs.get(runId)),
		async runs(filter) {
			const parsed = parseFilter(filter);
			const rows = [...tables.runs.values()].filter((run) => matches(run, parsed)).sort(newestFirst);
			return toPage(
				rows.slice(0, parsed.limit + 1).map((run) => toRow(run) as RunRow),
				parsed.limit,
			);
		},
		async messages(tenant, threadId, limit) {
			assertLimit(limit);
			return threadOf(tables, tenant, threadId)
				.slice(-limit)
				.map(({tenant: _, ...row}) => row);
		},
		async threads(tenant, limit) {
			assertLimit(limit);
			return threads(tables, tenant).slice(0, limit);
		},
		approval: async (approvalId) => tables.approvals.get(approvalId) ?? null,
		async approvals(tenant, state) {
			const rows = [...tables.approvals.values()];
			const wanted = rows.filter((row) => tenant === null || row.tenant === storable(tenant));
			return wanted.filter((row) => !state || row.state === state).sort(firstRequested);
		},
		grants: async (tenant, person, since) =>
			tables.grants.filter(
				(row) => row.tenant === storable(tenant) && row.person === storable(person) && row.at >= toInstant(since),
			).length,
		overdue: async (now) =>
			[...tables.approvals.values()].filter(
				({state, escalateAt}) => state === 'pending' && escalateAt !== null && escalateAt <= now.toISOString(),
			),
		async check() {},
		async close() {
			watchers.close();
		},
	};
}

function createQuota({storage, ledgers}: Tables): QuotaStore {
	const stored = (tenant: string) => storage.get(storable(tenant)) ?? NOTHING_STORED;
	return {
		async change(change) {
			const after = storageAfter(stored(change.tenant), change);
			if (after) storage.set(storable(change.tenant), after);
			return after !== null;
		},
		stored: async (tenant) => stored(tenant),
		spent: async (tenant, window) => windowUse(ledgers.get(storable(tenant)) ?? NO_LEDGER, window),
	};
}

function createLists(tables: Tables): Pick<Store, 'heads' | 'headPosition' | 'audit'> {
	return {
		heads: async (from, limit) =>
			[...tables.heads.values()].slice(from, from + assertLimit(limit)).map((head) => JSON.parse(head)),
		async headPosition(runId) {
			const position = [...tables.heads.keys()].indexOf(runId);
			return position === -1 ? null : position;
		},
		async audit(filter) {
			const query = parseAuditFilter(filter);
			return toAuditPage(matchAudit(auditOf(tables), query), query.limit);
		},
	};
}

function rowsOf({events}: Tables, runId: string, after = 0): readonly StoredEvent[] {
	return (events.get(runId) ?? []).slice(after).map((event) => ({seq: event.seq, event: JSON.stringify(event)}));
}

function auditOf({runs, events}: Tables): AuditDraft[] {
	return [...runs.values()].flatMap((run) => (events.get(run.runId) ?? []).flatMap((event) => projectAudit(event, run) ?? []));
}

function before({runs, approvals, ledgers}: Tables, batch: AppendBatch) {
	const ledger = (batch.spend && ledgers.get(storable(batch.spend.tenant))) ?? NO_LEDGER;
	const isModeChanged = Boolean(runs.get(awaitedChange(batch) ?? '')?.finishedAt);
	return {run: runs.get(batch.runId) ?? null, approvals, ledger, isModeChanged};
}

function write(tables: Tables, {run, events, approvals, grants, messages, head, spending}: Changes): void {
	if (spending) {
		const {tenant} = spending.use;
		tables.ledgers.set(tenant, changed(tables.ledgers.get(tenant) ?? NO_LEDGER, spending));
	}
	tables.runs.set(run.runId, run);
	const stream = tables.events.get(run.runId) ?? [];
	stream.push(...events);
	tables.events.set(run.runId, stream);
	for (const row of approvals) tables.approvals.set(row.approvalId, row);
	tables.grants.push(...grants);
	for (const message of messages) tables.messages.push({...message, id: tables.messages.length + 1});
	if (head) tables.heads.set(run.runId, JSON.stringify(head));
}

function createLeases(tables: Tables): Pick<Store, 'claim' | 'holders' | 'abandon' | 'renew'> {
	return {
		claim: async (holder, now, leaseMs, runId) => claim(tables, {holder, now, leaseMs, runId}),
		holders: async () => [...new Set([...tables.runs.values()].filter(isRunning).map(({holder}) => holder))],
		async abandon(holder) {
			for (const run of [...tables.runs.values()].filter(isRunning))
				if (run.holder === holder) tables.runs.set(run.runId, {...run, leaseUntil: NO_LEASE});
		},
		async renew(runId, {holder, token, until}) {
			const run = tables.runs.get(runId);
			if (!run || run.finishedAt || run.holder !== holder || run.token !== token) return false;
			tables.runs.set(runId, {...run, leaseUntil: new Date(until).toISOString()});
			return true;
		},
	};
}

function isRunning({status}: RunState): boolean {
	return status === 'running';
}

type Claim = {readonly holder: string; readonly now: Date; readonly leaseMs: number; readonly runId: string | undefined};

function claim(tables: Tables, {holder, now, leaseMs, runId}: Claim): {runId: string; token: number} | null {
	const at = now.toISOString();
	const wanted = runId === undefined ? undefined : tables.runs.get(runId);
	const candidates = runId === undefined ? [...tables.runs.values()] : wanted ? [wanted] : [];
	const isAnswerable = (waiting: string) =>
		[...tables.approvals.values()].some((each) => each.runId === waiting && each.state === 'pending' && each.approveBy > at);
	const [run] = candidates
		.filter(({runId: id, status, leaseUntil, holder: own}) => {
			if (status === 'awaiting_approval') return runId !== undefined || (leaseUntil <= at && !isAnswerable(id));
			return status === 'running' && (leaseUntil <= at || (runId !== undefined && own === holder));
		})
		.sort((a, b) => compare(a.leaseUntil, b.leaseUntil) || compare(a.runId, b.runId));
	if (!run) return null;
	const token = run.token + 1;
	tables.runs.set(run.runId, {...run, holder, token, leaseUntil: new Date(now.getTime() + leaseMs).toISOString()});
	return {runId: run.runId, token};
}

function toRow(run: RunState | undefined): RunRow | null {
	if (!run) return null;
	const {holder, token, leaseUntil, ...row} = run;
	return row;
}

function matches(run: RunState, filter: Filter): boolean {
	const {since, until, text, position} = filter;
	const same = (key: 'job' | 'status' | 'datasetId' | 'threadId' | 'mode') => !filter[key] || filter[key] === run[key];
	return (
		run.tenant === filter.tenant &&
		same('job') &&
		same('status') &&
		same('datasetId') &&
		same('threadId') &&
		same('mode') &&
		(!text || (run.question !== null && fold(run.question).includes(text))) &&
		(since === undefined || run.createdAt >= since) &&
		(until === undefined || run.createdAt < until) &&
		(position === null || newestFirst(position, run) < 0)
	);
}

function threadOf({messages}: Tables, tenant: string, threadId: string) {
	return messages.filter((message) => message.tenant === storable(tenant) && message.threadId === storable(threadId));
}

function threads(tables: Tables, tenant: string): readonly ThreadRow[] {
	const ids = new Set(tables.messages.filter((message) => message.tenant === storable(tenant)).map(({threadId}) => threadId));
	const rows = [...ids].map((threadId) => {
		const messages = threadOf(tables, tenant, threadId);
		const last = messages.at(-1) as MessageRow;
		const title = messages.find(({role}) => role === 'user')?.content ?? '';
		const updatedAt = messages
			.map(({createdAt}) => createdAt)
			.toSorted()
			.at(-1) as string;
		return {threadId, datasetId: last.datasetId, title, messages: messages.length, updatedAt};
	});
	return rows.sort((a, b) => compare(b.updatedAt, a.updatedAt) || compare(b.threadId, a.threadId));
}

function newestFirst(a: {createdAt: string; runId: string}, b: {createdAt: string; runId: string}): number {
	return compare(b.createdAt, a.createdAt) || compare(b.runId, a.runId);
}

function firstRequested(a: ApprovalRow, b: ApprovalRow): number {
	return compare(a.requestedAt, b.requestedAt) || compare(a.approvalId, b.approvalId);
}

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
