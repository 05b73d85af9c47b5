import {CompiledQuery, type Kysely, sql, type Transaction} from 'kysely';
import type {SignedHead} from '#contract/event.ts';
import type {AppendBatch, ApprovalRow} from '#kernel/ports.ts';
import {admit, awaitedChange, type Changes, changesMode, type RunState, retains, touchesApprovals} from './admit.ts';
import type {Settled} from './group.ts';
import {storable} from './project.ts';
import {RETENTION_LOCK, retain} from './retain.ts';
import {
	APPROVAL_ROW,
	MERGE_APPROVAL,
	MERGE_THREAD,
	MERGE_USE,
	RESERVATION_ROW,
	RUN_STATE,
	type Tables,
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
import {changed, type Ledger, NO_LEDGER, windowsOf} from './spend.ts';

type Tx = Transaction<Tables>;
type Admitted = {readonly settled: readonly Settled<null>[]; readonly changes: readonly Changes[]};

/** Announces runs that have new events. */
export const CHANNEL = 'writ_events';

/**
 * Appends a group of batches in one transaction, in a number of round trips that does not grow with the group. Each batch is
 * judged before anything is written, against locked rows, so one that is refused leaves nothing to take back.
 */
export async function appendGroup(
	db: Kysely<Tables>,
	batches: readonly AppendBatch[],
	onDecided: () => void,
): Promise<readonly Settled<null>[]> {
	return db.transaction().execute(async (tx) => {
		const {settled, changes} = await judge(tx, batches);
		if (changes.length > 0) await save(tx, changes);
		onDecided();
		return settled;
	});
}

/** INVARIANT: rows are locked in the order of their ids, so that groups of two replicas wait for each other and never deadlock. */
async function judge(tx: Tx, batches: readonly AppendBatch[]): Promise<Admitted> {
	const runs = new Map<string, RunState>();
	const awaited = batches.flatMap((batch) => awaitedChange(batch) ?? []);
	await lockModes(tx, {isChange: batches.some(changesMode), isAwaited: awaited.length > 0});
	const runIds = [...new Set([...batches.map(({runId}) => runId), ...awaited])];
	const known = tx.selectFrom('runs').select(RUN_STATE).where('run_id', '=', sql<string>`ANY(${runIds})`);
	for (const run of await known.orderBy('run_id').forUpdate().execute()) runs.set(run.runId, run as RunState);
	const approvals = await lockApprovals(tx, batches);
	const ledgers = await lockLedgers(tx, batches);

	const changes: Changes[] = [];
	const judgeOne = (batch: AppendBatch): Settled<null> => {
		try {
			const tenant = batch.spend ? storable(batch.spend.tenant) : '';
			const ledger = ledgers.get(tenant) ?? NO_LEDGER;
			const isModeChanged = Boolean(runs.get(awaitedChange(batch) ?? '')?.finishedAt);
			const change = admit(batch, {run: runs.get(batch.runId) ?? null, approvals, ledger, isModeChanged});
			if (change.spending) ledgers.set(tenant, changed(ledger, change.spending));
			runs.set(batch.runId, change.run);
			for (const row of change.approvals) approvals.set(row.approvalId, row);
			changes.push(change);
			return {ok: true, value: null};
		} catch (error) {
			return {ok: false, error};
		}
	};
	// What stops the platform counts for everything that is committed with it.
	const urgent = new Map(batches.filter(changesMode).map((batch) => [batch, judgeOne(batch)]));
	return {settled: batches.map((batch) => urgent.get(batch) ?? judgeOne(batch)), changes};
}

/**
 * INVARIANT: an intent is written either before a change of a mode is committed, or with knowledge of it. Intents share this lock, a
 * change has it alone; it is taken before every other, so that nobody waits for it who is waited for.
 */
async function lockModes(
	tx: Tx,
	{isChange, isAwaited}: {readonly isChange: boolean; readonly isAwaited: boolean},
): Promise<void> {
	if (!(isChange || isAwaited)) return;
	const lock = sql.raw(isChange ? 'pg_advisory_xact_lock' : 'pg_advisory_xact_lock_shared');
	await sql`SELECT ${lock}(hashtext('writ_modes'), current_schema()::regnamespace::oid::int)`.execute(tx);
}

/**
 * INVARIANT: whoever looks at what a tenant has left holds the lock of that tenant until it has written what is left then. Locks are
 * taken in the order of the tenants' names, after those of runs and approvals.
 */
async function lockLedgers(tx: Tx, batches: readonly AppendBatch[]): Promise<Map<string, Ledger>> {
	const spends = batches.flatMap(({spend}) => (spend ? [spend] : []));
	const ledgers = new Map<string, Ledger>();
	for (const tenant of [...new Set(spends.map((spend) => storable(spend.tenant)))].sort()) {
		await sql`SELECT pg_advisory_xact_lock(hashtextextended(${tenant}, 0))`.execute(tx);
		const reserved = tx.selectFrom('reservations').select(RESERVATION_ROW).where('tenant', '=', tenant);
		const reservations = await reserved.execute();
		const windows = spends
			.filter((spend) => storable(spend.tenant) === tenant)
			.flatMap((spend) => windowsOf(spend, reservations));
		const used = tx.selectFrom('uses').select(USE_ROW).where('tenant', '=', tenant);
		ledgers.set(tenant, {reservations, uses: await used.where('window_start', '=', sql<string>`ANY(${windows})`).execute()});
	}
	return ledgers;
}

async function lockApprovals(tx: Tx, batches: readonly AppendBatch[]): Promise<Map<string, ApprovalRow>> {
	const touching = batches.filter(({events}) => touchesApprovals(events));
	if (touching.length === 0) return new Map();
	const runIds = touching.map(({runId}) => runId);
	const named = touching.flatMap(({events}) =>
		events.flatMap(({data}) => ('approvalId' in data && data.approvalId ? [data.approvalId] : [])),
	);
	const rows = await tx
		.selectFrom('approvals')
		.select(APPROVAL_ROW)
		.where(sql<boolean>`run_id = ANY(${runIds}) OR approval_id = ANY(${named})`)
		.orderBy('approval_id')
		.forUpdate()
		.execute();
	return new Map(rows.map((row) => [row.approvalId, row]));
}

async function save(tx: Tx, changes: readonly Changes[]): Promise<void> {
	const last = [...new Map(changes.map((change) => [change.run.runId, change.run])).values()];
	const created = new Set(changes.filter(({isNew}) => isNew).map(({run}) => run.runId));
	const messages = changes.flatMap((change) => change.messages);
	const approvals = [...new Map(changes.flatMap((change) => change.approvals).map((row) => [row.approvalId, row])).values()];
	const heads = await placeHeads(
		tx,
		changes.flatMap(({head}) => head ?? []),
	);
	const events = changes.flatMap((change) =>
		change.events.map((event) => ({run_id: event.runId, seq: event.seq, event: JSON.stringify(event)})),
	);
	await insert(tx, 'runs', last.filter(({runId}) => created.has(runId)).map(toRunRecord));
	await updateRuns(
		tx,
		last.filter(({runId}) => !created.has(runId)),
	);
	await insert(tx, 'events', events);
	await insert(
		tx,
		'audit',
		changes.flatMap(({audit}) => audit()),
	);
	const citations = changes.flatMap((change) => change.citations);
	await insert(tx, 'citations', citations, 'ON CONFLICT DO NOTHING');
	for (const change of changes) if (retains(change.events)) await perform(tx, retain(change.events, change.run.tenant));
	await insert(tx, 'approvals', approvals.map(toApprovalRecord), MERGE_APPROVAL);
	await insert(tx, 'grants', changes.flatMap(({grants}) => grants).map(toGrantRecord));
	await insert(tx, 'heads', heads, 'ON CONFLICT (run_id) DO UPDATE SET head = excluded.head');
	await insert(tx, 'messages', messages.map(toMessageRecord));
	await insert(tx, 'threads', mergeThreads(messages), MERGE_THREAD);
	const spending = changes.flatMap((change) => (change.spending ? [change.spending] : []));
	const uses = new Map(spending.map(({use}) => [JSON.stringify([use.tenant, use.window]), use]));
	await insert(tx, 'uses', [...uses.values()].map(toUseRecord), MERGE_USE);
	await insert(
		tx,
		'reservations',
		spending.flatMap(({added}) => (added ? [toReservationRecord(added)] : [])),
	);
	const released = spending.flatMap(({removed}) => (removed ? [removed.runId] : []));
	if (released.length > 0) await sql`DELETE FROM reservations WHERE run_id = ANY(${released})`.execute(tx);
	await sql`SELECT pg_notify(${CHANNEL}, run_id) FROM unnest(${last.map(({runId}) => runId)}::text[]) AS t (run_id)`.execute(tx);
}

/**
 * INVARIANT: positions have no gaps and follow the order of commits. Whoever gives them out is alone until its transaction ends; it
 * holds the rows of its runs by then, and touches no others that somebody who waits here could hold.
 */
async function placeHeads(tx: Tx, heads: readonly SignedHead[]): Promise<Tables['heads'][]> {
	if (heads.length === 0) return [];
	await sql`SELECT pg_advisory_xact_lock(hashtext('writ_heads'), current_schema()::regnamespace::oid::int)`.execute(tx);
	const {next} = await tx
		.selectFrom('heads')
		.select(({fn}) => fn.coalesce(sql<number>`max(position) + 1`, sql<number>`0`).as('next'))
		.executeTakeFirstOrThrow();
	return heads.map((head, index) => ({run_id: head.runId, head: JSON.stringify(head), position: Number(next) + index}));
}

/** Rows as one JSON parameter: one statement, whatever their number, where placeholders end at 65,535. */
async function insert(
	tx: Tx,
	table: keyof Tables,
	records: readonly Readonly<Record<string, unknown>>[],
	conflict = '',
): Promise<void> {
	const [first] = records;
	if (!first) return;
	const names = sql.raw(Object.keys(first).join(', '));
	const rows = JSON.stringify(records);
	await sql`INSERT INTO ${sql.table(table)} (${names}) SELECT ${names} FROM json_populate_recordset(NULL::${sql.table(table)}, ${rows})
		${sql.raw(conflict)}`.execute(tx);
}

/** INVARIANT: holds and erasures are judged one after the other, on what is committed: the lock is held until this is. */
async function perform(tx: Tx, steps: ReturnType<typeof retain>): Promise<void> {
	await sql`SELECT pg_advisory_xact_lock(${RETENTION_LOCK}, current_schema()::regnamespace::oid::int)`.execute(tx);
	for (let step = steps.next([]); !step.done; ) {
		const text = step.value.sql.split('?').reduce((before, after, index) => `${before}$${index}${after}`);
		const {rows} = await tx.executeQuery(CompiledQuery.raw(text, [...step.value.parameters]));
		step = steps.next(rows as Record<string, unknown>[]);
	}
}

async function updateRuns(tx: Tx, runs: readonly RunState[]): Promise<void> {
	if (runs.length === 0) return;
	const rows = JSON.stringify(runs.map(toRunUpdate));
	await sql`UPDATE runs SET status = new.status, finished_at = new.finished_at, duration_ms = new.duration_ms,
		error_code = new.error_code, seq = new.seq, lease_until = new.lease_until
		FROM json_populate_recordset(NULL::runs, ${rows}) AS new WHERE runs.run_id = new.run_id`.execute(tx);
}

/** One row a thread, because a statement may touch a row once; in one order, so that two replicas do not deadlock. */
function mergeThreads(messages: readonly Changes['messages'][number][]): Tables['threads'][] {
	const threads = new Map<string, Tables['threads']>();
	for (const message of messages) {
		const next = toThreadRecord(message);
		const key = JSON.stringify([next.tenant, next.thread_id]);
		const past = threads.get(key);
		threads.set(key, past ? merge(past, next) : next);
	}
	return [...threads.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

function merge(past: Tables['threads'], next: Tables['threads']): Tables['threads'] {
	return {
		...next,
		title: past.title === '' ? next.title : past.title,
		messages: past.messages + next.messages,
		updated_at: [past.updated_at, next.updated_at].toSorted().at(-1) ?? '',
	};
}
