/**
 * What a server reads by itself, from its start on and again and again. Prepared statements: Kysely takes a tenth of the start and
 * 15 MiB to load, and a server that nobody asks anything has no need of it.
 */
import type {DatabaseSync, StatementSync} from 'node:sqlite';
import type {ApprovalRow, Store} from '#kernel/ports.ts';
import {assertLimit} from './filter.ts';
import {storable} from './project.ts';
import {APPROVAL_ROW, MOST_OVERDUE} from './schema.ts';
import {toStoreError} from './sqlite-errors.ts';
import {parseRows, type StoredEvent} from './stored-event.ts';

type Reads = Pick<Store, 'read' | 'heads' | 'holders' | 'overdue'>;

/** The same rows as `createQueries` finds. Failures of the database arrive as `WritError`s. */
export function createReads(db: DatabaseSync): Reads {
	const query = <Row>(sql: string) => {
		const prepared: {statement?: StatementSync} = {};
		return (...parameters: readonly (string | number)[]): readonly Row[] => {
			try {
				prepared.statement ??= db.prepare(sql);
				return prepared.statement.all(...parameters) as readonly unknown[] as readonly Row[];
			} catch (error) {
				throw toStoreError(error);
			}
		};
	};
	const events = query<StoredEvent>('SELECT seq, event FROM events WHERE run_id = ? AND seq > ? ORDER BY seq');
	const heads = query<{readonly head: string}>('SELECT head FROM heads WHERE position >= ? ORDER BY position LIMIT ?');
	const holders = query<{readonly holder: string}>("SELECT DISTINCT holder FROM runs WHERE status = 'running'");
	const overdue = query<ApprovalRow>(`SELECT ${APPROVAL_ROW.join(', ')} FROM approvals
		WHERE state = 'pending' AND escalate_at <= ? ORDER BY escalate_at LIMIT ${MOST_OVERDUE}`);
	return {
		read: async (runId, after = 0) => parseRows(runId, after, events(storable(runId), after)),
		heads: async (from, limit) => heads(from, assertLimit(limit)).map(({head}) => JSON.parse(head)),
		holders: async () => holders().map(({holder}) => holder),
		overdue: async (now) => overdue(now.toISOString()).map((row) => ({...row})), // theirs have no prototype
	};
}
