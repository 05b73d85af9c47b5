/**
 * What holds and erasures do to a store, in the transaction that writes their events: one says no to the other, or comes after it. Pure
 * but for the statements it yields, each answered with its rows; `?` stands for a parameter on every database.
 */
import {createHash} from 'node:crypto';
import {WritError} from '#contract/errors.ts';
import {type Event, parseEvent} from '#contract/event.ts';
import {eraseContent, toStored} from '#evidence/content.ts';
import type {RunRow} from '#kernel/ports.ts';
import {personOf} from '#kernel/tally.ts';
import {fold, storable, toInstant} from './project.ts';
import {projectAudit} from './project-audit.ts';
import {RUN_ROW} from './schema.ts';

type Value = string | number | null;
export type Statement = {readonly sql: string; readonly parameters: readonly Value[]};
type Row = Readonly<Record<string, unknown>>;
type Steps = Generator<Statement, void, readonly Row[]>;

/** Throws `conflict`, and then nothing may be written. */
export function* retain(events: readonly Event[], tenant: string): Steps {
	for (const event of events) {
		if (event.type === 'content.erased') yield* erase(event, tenant);
		else if (event.type === 'hold.placed') yield* place(event, tenant);
		else if (event.type === 'hold.release-asked' || event.type === 'hold.released') yield* release(event, tenant);
	}
}

type EventOf<T extends Event['type']> = Extract<Event, {type: T}>;

function* place({data, actor, at}: EventOf<'hold.placed'>, tenant: string): Steps {
	const {holdId, kind, target, reason} = data;
	const values = [holdId, tenant, kind, target, reason, actor.id].map(storable);
	yield {
		sql: `INSERT INTO holds (hold_id, tenant, kind, target, reason, placed_by, placed_at, state) VALUES (?, ?, ?, ?, ?, ?, ?, 'held')`,
		parameters: [...values, toInstant(at)],
	};
}

function* release(event: EventOf<'hold.release-asked'> | EventOf<'hold.released'>, tenant: string): Steps {
	const {data, actor, at, runId} = event;
	const [hold] = yield {
		sql: 'SELECT state, asked_by FROM holds WHERE hold_id = ? AND tenant = ?',
		parameters: [storable(data.holdId), tenant],
	};
	const no = (why: string) => refused(runId, why);
	if (!hold || hold.state === 'released') throw no('there is no such hold, or it was released');
	const [by, reason] = [storable(personOf(actor)), storable(data.reason)];
	if (event.type === 'hold.release-asked') {
		const sql = `UPDATE holds SET state = 'asked', asked_by = ?, ask_reason = ? WHERE hold_id = ?`;
		yield {sql, parameters: [by, reason, storable(data.holdId)]};
		return;
	}
	const {asked} = event.data;
	if (asked !== null && (hold.state !== 'asked' || hold.asked_by !== storable(personOf(asked.by)) || hold.asked_by === by))
		throw no('it takes a second person, after the first has asked');
	yield {
		sql: `UPDATE holds SET state = 'released', released_by = ?, released_at = ?, release_reason = ? WHERE hold_id = ?`,
		parameters: [storable(actor.id), toInstant(at), reason, storable(data.holdId)],
	};
}

/** What keeps a run, as a condition on `holds` and the run's row `r`. */
export const HOLDS_RUN = `holds.tenant = r.tenant AND holds.state <> 'released' AND (holds.kind = 'tenant'
	OR (holds.kind = 'run' AND holds.target = r.run_id) OR (holds.kind = 'thread' AND holds.target = r.thread_id)
	OR (holds.kind = 'dataset' AND holds.target = r.dataset_id))`;

// Quoted, because PostgreSQL folds names that are not.
const RUN_COLUMNS = RUN_ROW.map((column) => column.replace(/ as (\w+)$/, ' AS "$1"')).join(', ');

function* erase(event: EventOf<'content.erased'>, tenant: string): Steps {
	const {runId, rule, events: named, bytes} = event.data;
	const no = (why: string) => refused(runId, why);
	const [run] = (yield {
		sql: `SELECT ${RUN_COLUMNS} FROM runs WHERE run_id = ?`,
		parameters: [storable(runId)],
	}) as readonly unknown[] as readonly RunRow[];
	if (!run || run.tenant !== tenant || run.finishedAt === null || isOfThePlatform(run)) throw no('it is not one to erase');
	const [hold] = yield {
		sql: `SELECT holds.hold_id AS "holdId" FROM holds, runs r WHERE r.run_id = ? AND ${HOLDS_RUN} LIMIT 1`,
		parameters: [storable(runId)],
	};
	if (hold) throw no(`it is held by ${String(hold.holdId)}`);
	// An update that changes nothing: on PostgreSQL it waits for whoever changes the list, and they for this transaction.
	const [listed] = yield {sql: 'UPDATE legal_hold SET id = 1 WHERE id = 1 RETURNING targets', parameters: []};
	if (isListed(run, JSON.parse(String(listed?.targets)) as string[])) throw no('the policy file holds it');
	const rows = yield {sql: 'SELECT seq, event FROM events WHERE run_id = ? ORDER BY seq', parameters: [storable(runId)]};
	const stored = rows.map((row) => parseEvent(JSON.parse(String(row.event))));
	if (isEarly(event, stored.at(-1))) throw no('it finished later than its table says, and is to be kept for longer');
	const erased = stored.flatMap((one) => eraseContent(one) ?? []);
	const isAll =
		erased.length === named.length && erased.every(({seq, hash}, at) => named[at]?.seq === seq && named[at].hash === hash);
	if (!isAll) throw no('it is not as it was when its erasure was stated');
	for (const one of erased) {
		const place = [storable(runId), one.seq];
		yield {
			sql: 'UPDATE events SET event = ? WHERE run_id = ? AND seq = ?',
			parameters: [JSON.stringify(toStored(one)), ...place],
		};
		const audit = projectAudit(one, run);
		if (!audit) continue;
		const said = [audit.detail, fold(audit.detail)];
		yield {sql: 'UPDATE audit SET detail = ?, folded = ? WHERE run_id = ? AND seq = ?', parameters: [...said, ...place]};
	}
	yield* eraseRows(run);
	const values = [storable(runId), event.runId, toInstant(event.at), storable(rule), bytes.before, bytes.after];
	const columns = 'run_id, by_run_id, at, rule, bytes_before, bytes_after';
	yield {sql: `INSERT INTO erasures (${columns}) VALUES (?, ?, ?, ?, ?, ?)`, parameters: values};
}

const DAY_MS = 86_400_000;

/** INVARIANT: by the run's own last event. Its row can be changed by whoever writes to the database, and no signature covers it. */
function isEarly({at, data: {days}}: EventOf<'content.erased'>, end: Event | undefined): boolean {
	if (days === undefined) return false;
	return end?.type !== 'run.finished' || Date.parse(at) - Date.parse(end.at) < days * DAY_MS;
}

/** Whether the `legalHold` of a policy file names the run, its thread or its tenant. */
export function isListed(
	{runId, threadId, tenant}: Pick<RunRow, 'runId' | 'threadId' | 'tenant'>,
	held: readonly string[],
): boolean {
	return [runId, threadId, tenant].some((id) => id !== null && held.includes(id));
}

/** What the platform says of itself is the record of everything else; what it looks up in a dataset is content like any other. */
function isOfThePlatform({job, datasetId}: RunRow): boolean {
	return job === 'system' && datasetId === null;
}

/** What lists show of it. */
function* eraseRows({runId, tenant, threadId}: RunRow): Steps {
	const parameters = [runId];
	yield {sql: 'UPDATE runs SET question = NULL, question_folded = NULL WHERE run_id = ?', parameters};
	const first = `SELECT content FROM messages WHERE run_id = ? AND role = 'user'`;
	if (threadId !== null)
		yield {
			sql: `UPDATE threads SET title = '' WHERE tenant = ? AND thread_id = ? AND title IN (${first})`,
			parameters: [tenant, threadId, runId],
		};
	yield {sql: `UPDATE messages SET content = '' WHERE run_id = ?`, parameters};
	yield {sql: `UPDATE approvals SET preview = '', preview_digest = '' WHERE run_id = ?`, parameters};
	yield {sql: 'DELETE FROM citations WHERE run_id = ?', parameters};
}

function refused(runId: string, why: string): WritError {
	return new WritError('conflict', `nothing was written about ${runId}: ${why}`, {
		hint: '`writ hold list` and `writ retention preview` say what is held and what would be erased',
		details: {runId},
	});
}

/** A lock's number on PostgreSQL, where transactions run side by side. */
export const RETENTION_LOCK = createHash('sha256').update('writ_retention').digest().readInt32BE(0);
