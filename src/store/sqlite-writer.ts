/**
 * The thread that owns the writing connection. A commit waits for the disk, and for other processes' locks; here that keeps
 * nobody else from answering.
 */
import type {DatabaseSync} from 'node:sqlite';
import {parentPort, workerData} from 'node:worker_threads';
import {WritError} from '#contract/errors.ts';
import type {Event} from '#contract/event.ts';
import type {AppendBatch} from '#kernel/ports.ts';
import {changesMode} from './admit.ts';
import type {Settled} from './group.ts';
import {openForWriting} from './sqlite-connection.ts';
import {toStoreError} from './sqlite-errors.ts';
import {createWrites, type ReadOperation, type SentOperation, type Written} from './sqlite-writes.ts';

function read(sent: SentOperation): ReadOperation {
	if (sent.kind !== 'append') return sent;
	const rest = JSON.parse(sent.batch) as Omit<AppendBatch, 'events'>;
	return {kind: 'append', batch: {...rest, events: sent.events.map((text) => JSON.parse(text) as Event)}, texts: sent.events};
}

/** A failure that can cross threads: an `Error` would lose its class. */
export type Failure = {readonly known: ReturnType<WritError['toJSON']>} | {readonly bug: string};
type Reply<T> = {readonly ok: true; readonly value: T} | {readonly ok: false; readonly failure: Failure};
export type WriterReply = Reply<readonly Reply<Written>[]>;

if (parentPort) serve(parentPort, String(workerData));

function serve(port: NonNullable<typeof parentPort>, path: string): void {
	const opened = attempt(() => openForWriting(path));
	port.postMessage(opened.ok ? toReply({ok: true, value: []}) : toReply(opened));
	if (!opened.ok) return;
	const db = opened.value;
	const commit = createCommit(db);
	port.on('message', (sent: readonly SentOperation[] | 'close') => {
		if (sent === 'close') {
			db.close();
			port.close();
			return;
		}
		const group = attempt(() => commit(sent.map(read)).map(toReply));
		port.postMessage(toReply(group));
	});
}

/**
 * INVARIANT: an answer leaves this thread only after COMMIT returned. An operation that is refused takes back only itself: nearly none
 * is, so a group is tried without savepoints, and begins again with one for each when any was. What SQLite itself gave up fails as a
 * whole.
 */
function createCommit(db: DatabaseSync): (operations: readonly ReadOperation[]) => Settled<Written>[] {
	const write = createWrites(db);
	const [mark, keep, undo] = [db.prepare('SAVEPOINT one'), db.prepare('RELEASE one'), db.prepare('ROLLBACK TO one')];
	const perform = (operation: ReadOperation): Settled<Written> => {
		const result = attempt(() => write(operation));
		if (!result.ok && !db.isTransaction) throw result.error;
		return result;
	};
	const performOne = (operation: ReadOperation): Settled<Written> => {
		mark.run();
		const result = perform(operation);
		if (!result.ok) undo.run();
		keep.run();
		return result;
	};
	const performAll = (operations: readonly ReadOperation[], one: typeof perform): Settled<Written>[] => {
		const settled = new Map<ReadOperation, Settled<Written>>();
		// What stops the platform counts for everything that is committed with it.
		for (const operation of operations.toSorted((a, b) => Number(isUrgent(b)) - Number(isUrgent(a))))
			settled.set(operation, one(operation));
		return operations.map((operation) => settled.get(operation) ?? UNANSWERED);
	};
	return (operations) => {
		db.exec('BEGIN IMMEDIATE');
		try {
			let settled = performAll(operations, perform);
			if (settled.some(({ok}) => !ok)) {
				if (operations.length === 1) return settled;
				db.exec('ROLLBACK');
				db.exec('BEGIN IMMEDIATE');
				settled = performAll(operations, performOne);
			}
			db.exec('COMMIT');
			return settled;
		} finally {
			if (db.isTransaction) db.exec('ROLLBACK');
		}
	};
}

function isUrgent(operation: ReadOperation): boolean {
	return operation.kind === 'append' && changesMode(operation.batch);
}

const UNANSWERED: Settled<Written> = {ok: false, error: new Error('an operation was left out')};

function attempt<T>(work: () => T): Settled<T> {
	try {
		return {ok: true, value: work()};
	} catch (error) {
		return {ok: false, error};
	}
}

function toReply<T>(settled: Settled<T>): Reply<T> {
	if (settled.ok) return settled;
	const error = toStoreError(settled.error);
	if (error instanceof WritError) return {ok: false, failure: {known: error.toJSON()}};
	return {ok: false, failure: {bug: error instanceof Error ? (error.stack ?? error.message) : String(error)}};
}
