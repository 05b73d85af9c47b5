import {createRequire} from 'node:module';
import type {DatabaseSync, SQLInputValue, StatementSync} from 'node:sqlite';
import type {AppendBatch, ApprovalRow} from '#kernel/ports.ts';
import type {StorageChange, StorageHold, StorageState} from '#kernel/quota-store.ts';
import type {Spend} from '#kernel/spend.ts';
import {admit, awaitedChange, type Changes, type RunState, retains, touchesApprovals} from './admit.ts';
import {NO_LEASE, storable, toInstant} from './project.ts';
import {STORAGE_HOLD_ROW, storageAfter} from './quota.ts';
import type {retain} from './retain.ts';
import {
	APPROVAL_ROW,
	MERGE_APPROVAL,
	MERGE_THREAD,
	MERGE_USE,
	RESERVATION_ROW,
	RUN_STATE,
	toApprovalRecord,
	toGrantRecord,
	toMessageRecord,
	toReservationRecord,
	toRunRecord,
	toRunUpdate,
	toThreadRecord,
	toUseRecord,
	USE_ROW,
} from './schema.ts';
import {type Ledger, NO_LEDGER, type ReservationRow, type UseRow, windowsOf} from './spend.ts';

type Fence = AppendBatch['fence'];

/** One thing to write. Operations of one group share a transaction. */
export type Operation =
	| {readonly kind: 'append'; readonly batch: AppendBatch}
	| {
			readonly kind: 'claim';
			readonly holder: string;
			readonly now: Date;
			readonly leaseMs: number;
			readonly runId: string | undefined;
	  }
	| {readonly kind: 'renew'; readonly runId: string; readonly fence: Fence}
	| {readonly kind: 'execute'; readonly sql: string; readonly parameters: readonly SQLInputValue[]}
	| {readonly kind: 'abandon'; readonly holder: string}
	| {readonly kind: 'storage'; readonly change: StorageChange}
	| {readonly kind: 'check'};

/**
 * An operation on its way to the writing thread. A batch and its events go as text: copying their many small values takes several times
 * as long, and the text of an event is what is stored.
 */
export type SentOperation =
	| Exclude<Operation, {kind: 'append'}>
	| {readonly kind: 'append'; readonly batch: string; readonly events: readonly string[]};

/** As the writing thread reads it: `texts` are its events as they are stored. */
export type ReadOperation =
	| Exclude<Operation, {kind: 'append'}>
	| {readonly kind: 'append'; readonly batch: AppendBatch; readonly texts: readonly string[]};

export type Written = null | boolean | number | {readonly runId: string; readonly token: number};

/**
 * The writes of a store on one connection, inside a transaction that the caller opened.
 * Prepared statements rather than Kysely: building and compiling a query costs as much as running it here, and a governed action
 * pays that twice.
 */
export function createWrites(db: DatabaseSync): (operation: ReadOperation) => Written {
	const append = createAppend(db);
	const claim = createClaim(db);
	const changeStorage = createStorageWrite(db);
	const renew = db.prepare(
		'UPDATE runs SET lease_until = ? WHERE run_id = ? AND holder = ? AND token = ? AND finished_at IS NULL',
	);
	const abandon = db.prepare("UPDATE runs SET lease_until = ? WHERE holder = ? AND status = 'running'");
	const addCheck = db.prepare('INSERT OR REPLACE INTO checks (id) VALUES (1)');
	const removeCheck = db.prepare('DELETE FROM checks');
	return (operation) => {
		switch (operation.kind) {
			case 'append':
				append(operation.batch, operation.texts);
				return null;
			case 'claim':
				return claim(operation);
			case 'renew': {
				const {runId, fence} = operation;
				return renew.run(toInstant(fence.until), runId, fence.holder, fence.token).changes === 1;
			}
			case 'execute':
				return Number(db.prepare(operation.sql).run(...operation.parameters).changes);
			case 'abandon':
				abandon.run(NO_LEASE, operation.holder);
				return null;
			case 'storage':
				return changeStorage(operation.change);
			case 'check':
				addCheck.run();
				removeCheck.run();
				return null;
		}
	};
}

function createAppend(db: DatabaseSync): (batch: AppendBatch, texts: readonly string[]) => void {
	const loadRun = db.prepare(`SELECT ${columns(RUN_STATE)} FROM runs WHERE run_id = ?`);
	const loadApprovals = db.prepare(
		`SELECT ${columns(APPROVAL_ROW)} FROM approvals WHERE run_id = ? OR approval_id IN (SELECT value FROM json_each(?))`,
	);
	const isFinished = db.prepare('SELECT 1 FROM runs WHERE run_id = ? AND finished_at IS NOT NULL');
	const ledgerOf = createLedger(db);
	const save = createSave(db);
	return (batch, texts) => {
		const run = loadRun.get(batch.runId) as RunState | undefined;
		const approvals = new Map<string, ApprovalRow>();
		if (touchesApprovals(batch.events)) {
			const named = batch.events.flatMap(({data}) => ('approvalId' in data && data.approvalId !== null ? [data.approvalId] : []));
			for (const row of loadApprovals.all(batch.runId, JSON.stringify(named)) as ApprovalRow[])
				approvals.set(row.approvalId, {...row});
		}
		const ledger = batch.spend ? ledgerOf(batch.spend) : NO_LEDGER;
		const awaited = awaitedChange(batch);
		const isModeChanged = awaited !== null && isFinished.get(awaited) !== undefined;
		save(admit(batch, {run: run ?? null, approvals, ledger, isModeChanged}), texts);
	};
}

function createLedger(db: DatabaseSync): (spend: Spend) => Ledger {
	const reserved = db.prepare(`SELECT ${columns(RESERVATION_ROW)} FROM reservations WHERE tenant = ?`);
	const used = db.prepare(
		`SELECT ${columns(USE_ROW)} FROM uses WHERE tenant = ? AND window_start IN (SELECT value FROM json_each(?))`,
	);
	return (spend) => {
		const tenant = storable(spend.tenant);
		const reservations = reserved.all(tenant) as ReservationRow[];
		return {reservations, uses: used.all(tenant, JSON.stringify(windowsOf(spend, reservations))) as UseRow[]};
	};
}

function createStorageWrite(db: DatabaseSync): (change: StorageChange) => boolean {
	const load = db.prepare('SELECT kept, changes FROM storage WHERE tenant = ?');
	const loadHolds = db.prepare(`SELECT ${columns(STORAGE_HOLD_ROW)} FROM storage_holds WHERE tenant = ?`);
	const save = db.prepare('INSERT OR REPLACE INTO storage (tenant, kept, changes) VALUES (?, ?, ?)');
	const hold = db.prepare('INSERT INTO storage_holds (hold_id, tenant, holder, bytes, held_until) VALUES (?, ?, ?, ?, ?)');
	const release = db.prepare('DELETE FROM storage_holds WHERE hold_id = ?');
	return (change) => {
		const tenant = storable(change.tenant);
		const row = load.get(tenant) as Pick<StorageState, 'kept' | 'changes'> | undefined;
		const holds = loadHolds.all(tenant) as StorageHold[];
		const after = storageAfter({kept: 0, changes: 0, ...row, holds}, change);
		if (!after) return false;
		save.run(tenant, after.kept, after.changes);
		for (const {holdId} of holds.filter((one) => !after.holds.includes(one))) release.run(holdId);
		for (const {holdId, holder, bytes, until} of after.holds.filter((one) => !holds.includes(one)))
			hold.run(holdId, tenant, holder, bytes, until);
		return true;
	};
}

function createSave(db: DatabaseSync): (changes: Changes, texts: readonly string[]) => void {
	const saving = {
		event: db.prepare('INSERT INTO events (run_id, seq, event) VALUES (?, ?, ?)'),
		head: db.prepare(`INSERT INTO heads (run_id, head, position) SELECT ?, ?, coalesce(max(position) + 1, 0) FROM heads WHERE true
			ON CONFLICT (run_id) DO UPDATE SET head = excluded.head`),
		updateRun: db.prepare(
			'UPDATE runs SET status = ?2, finished_at = ?3, duration_ms = ?4, error_code = ?5, seq = ?6, lease_until = ?7 WHERE run_id = ?1',
		),
	};
	const inserts = new Map<string, StatementSync>();
	const insert = (table: string, record: Readonly<Record<string, SQLInputValue>>, conflict = '') => {
		const key = table + conflict;
		const names = Object.keys(record);
		const into = () => `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')}) ${conflict}`;
		const statement = inserts.get(key) ?? db.prepare(into());
		inserts.set(key, statement);
		statement.run(...Object.values(record));
	};
	const release = db.prepare('DELETE FROM reservations WHERE run_id = ?');
	return ({isNew, run, events, approvals, grants, messages, audit, citations, head, spending}, texts) => {
		if (isNew) insert('runs', toRunRecord(run));
		else saving.updateRun.run(...Object.values(toRunUpdate(run)));
		for (const [index, {seq}] of events.entries()) saving.event.run(run.runId, seq, texts[index] ?? '');
		for (const row of approvals) insert('approvals', toApprovalRecord(row), MERGE_APPROVAL);
		for (const row of grants) insert('grants', toGrantRecord(row));
		for (const row of audit()) insert('audit', row);
		for (const row of citations) insert('citations', row, 'ON CONFLICT DO NOTHING');
		if (retains(events)) perform(db, loadRetain()(events, run.tenant));
		for (const message of messages) {
			insert('messages', toMessageRecord(message));
			insert('threads', toThreadRecord(message), MERGE_THREAD);
		}
		if (head) saving.head.run(run.runId, JSON.stringify(head));
		if (!spending) return;
		insert('uses', toUseRecord(spending.use), MERGE_USE);
		if (spending.added) insert('reservations', toReservationRecord(spending.added));
		if (spending.removed) release.run(spending.removed.runId);
	};
}

/** At the first hold or erasure: what reads events back takes the thread longer to load than all else it does at its start. */
function loadRetain(): typeof retain {
	return (createRequire(import.meta.url)('./retain.ts') as typeof import('./retain.ts')).retain;
}

function perform(db: DatabaseSync, steps: ReturnType<typeof retain>): void {
	for (let step = steps.next([]); !step.done; )
		step = steps.next(db.prepare(step.value.sql).all(...step.value.parameters) as Record<string, unknown>[]);
}

function createClaim(db: DatabaseSync): (operation: Extract<Operation, {kind: 'claim'}>) => Written {
	const take = (which: string) =>
		db.prepare(`UPDATE runs SET holder = ?1, token = token + 1, lease_until = ?2 WHERE run_id = (
			SELECT run_id FROM runs WHERE ${which} ORDER BY lease_until, run_id LIMIT 1
		) RETURNING run_id AS runId, token`);
	const takeAny = take(`lease_until <= ?3 AND (status = 'running' OR (status = 'awaiting_approval' AND NOT EXISTS (
		SELECT 1 FROM approvals WHERE approvals.run_id = runs.run_id AND state = 'pending' AND approve_by > ?3
	)))`);
	const takeOne = take(
		"run_id = ?4 AND (status = 'awaiting_approval' OR (status = 'running' AND (lease_until <= ?3 OR holder = ?1)))",
	);
	return ({holder, now, leaseMs, runId}) => {
		const lease = [holder, new Date(now.getTime() + leaseMs).toISOString(), now.toISOString()];
		const row = runId === undefined ? takeAny.get(...lease) : takeOne.get(...lease, runId);
		return row ? {runId: String(row.runId), token: Number(row.token)} : null;
	};
}

function columns(aliased: readonly string[]): string {
	return aliased.join(', ');
}
