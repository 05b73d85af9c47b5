import type {DatabaseSync, SQLInputValue, StatementSync} from 'node:sqlite';
import {Worker} from 'node:worker_threads';
import {WritError} from '#contract/errors.ts';
import type {Store} from '#kernel/ports.ts';
import {changesMode} from './admit.ts';
import {Group, type Settled} from './group.ts';
import {createLegalHold} from './legal-hold.ts';
import {LETTERS} from './letter-name.ts';
import {openBell} from './sqlite-bell.ts';
import {emptyLog, openForReading} from './sqlite-connection.ts';
import {lazyQueries} from './sqlite-lazy.ts';
import {createReads} from './sqlite-reads.ts';
import type {Failure, WriterReply} from './sqlite-writer.ts';
import type {Operation, SentOperation, Written} from './sqlite-writes.ts';
import {Watchers} from './watchers.ts';

/** How soon a commit of another process is noticed. Our own commits are announced at once. */
const POLL_MS = 100;

/**
 * The embedded store: one file, durable commits, group commit. A thread of its own writes and waits for the disk; this thread
 * reads. (Measured by bench/store.ts: a commit takes 0.14 ms on an idle disk and 13 ms at p99 on a busy one, during which nothing
 * else on its thread runs; the way to the other thread costs 0.03 to 0.1 ms.) Throws `store_unavailable` when the file cannot be used, and says what to do.
 */
export async function openSqlite(path: string): Promise<Store> {
	if (path === '' || path === ':memory:')
		throw new WritError('invalid_config', 'the store needs a file: two connections share it', {
			hint: 'name a file for the store',
		});
	const writer = await startWriter(path);
	const reader = await openReader(path, writer);
	const reads = createReads(reader);
	const watchers = new Watchers({read: reads.read});
	const version = reader.prepare('PRAGMA data_version');
	const poll = {timer: setInterval(() => watchers.watched && pollOnce(), POLL_MS).unref(), seen: -1 as number | null};
	const pollOnce = () => {
		const seen = dataVersion(version);
		if (seen !== poll.seen || seen === null) watchers.wakeAll();
		poll.seen = seen;
	};
	const execute = async ({sql, parameters}: Statement) =>
		(await writer.submit({kind: 'execute', sql, parameters: parameters as readonly SQLInputValue[]})) as number;
	const callers = new Watchers({read: reads.read});
	const bell = openBell(path, () => {
		pollOnce();
		callers.wakeAll();
	});
	const {store, identity, retention, letters, quota} = lazyQueries(reader, execute);
	return {
		...reads,
		...store,
		identity,
		retention: {...retention, holdListed: legalHoldIn(reader, execute), forget: async () => emptyLog(path)},
		letters: {
			...letters,
			send: async (letter) => letters.send(letter).then(bell.ring),
			reply: async (letterId, reply) => letters.reply(letterId, reply).then(bell.ring),
			listen: (listener) => callers.watch(LETTERS, listener),
		},
		quota: {
			...quota,
			change: async (change) => (await writer.submit({kind: 'storage', change})) as boolean,
		},
		async append(batch) {
			await writer.submit({kind: 'append', batch});
			watchers.wake(batch.runId);
			if (changesMode(batch)) bell.ring();
		},
		subscribe: (runId, after, signal) => watchers.follow(runId, after, signal),
		async claim(holder, now, leaseMs, runId) {
			return (await writer.submit({kind: 'claim', holder, now, leaseMs, runId})) as Awaited<ReturnType<Store['claim']>>;
		},
		async renew(runId, fence) {
			return (await writer.submit({kind: 'renew', runId, fence})) as boolean;
		},
		async abandon(holder) {
			await writer.submit({kind: 'abandon', holder});
		},
		async check() {
			await writer.submit({kind: 'check'});
		},
		async close() {
			clearInterval(poll.timer);
			bell.close();
			watchers.close();
			await writer.close();
			if (reader.isOpen) reader.close();
		},
	};
}

type Statement = {readonly sql: string; readonly parameters: readonly unknown[]};

function legalHoldIn(reader: DatabaseSync, execute: (statement: Statement) => Promise<number>): Store['retention']['holdListed'] {
	return createLegalHold({
		read: async () => String(reader.prepare('SELECT targets FROM legal_hold').get()?.targets),
		swap: async (...parameters) =>
			(await execute({sql: 'UPDATE legal_hold SET targets = ?2 WHERE targets = ?1', parameters})) === 1,
	});
}

/** Null when it cannot be told: then the followers read, and meet what is wrong themselves. */
function dataVersion(version: StatementSync): number | null {
	try {
		return Number(version.get()?.data_version);
	} catch {
		return null; // a timer has nobody to tell
	}
}

async function openReader(path: string, writer: Writer): Promise<DatabaseSync> {
	try {
		return openForReading(path);
	} catch (error) {
		await writer.close();
		throw error;
	}
}

type Writer = {submit(operation: Operation): Promise<Written>; close(): Promise<void>};

async function startWriter(path: string): Promise<Writer> {
	const worker = new Worker(new URL('./sqlite-writer.ts', import.meta.url), {workerData: path});
	const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
	const replies = createReplies(worker);
	const ready = await replies.next();
	if (!ready.ok) {
		await worker.terminate();
		throw toError(ready.failure);
	}
	const group = new Group<Operation, Written>(async (operations) => {
		const reply = replies.next();
		worker.postMessage(operations.map(toSent));
		const group = await reply;
		if (!group.ok) throw toError(group.failure);
		return group.value.map(toSettled);
	});
	return {
		submit: (operation) => group.submit(operation),
		async close() {
			await group.drain();
			worker.ref();
			worker.postMessage('close');
			await exited;
		},
	};
}

function toSent(operation: Operation): SentOperation {
	if (operation.kind !== 'append') return operation;
	const {events, ...rest} = operation.batch;
	return {kind: 'append', batch: JSON.stringify(rest), events: events.map((event) => JSON.stringify(event))};
}

/** Pairs what is sent to the writer with its answers, which come in order. It keeps the process alive only while one is awaited. */
function createReplies(worker: Worker): {next(): Promise<WriterReply>} {
	const waiting: PromiseWithResolvers<WriterReply>[] = [];
	const state: {gone: Error | null} = {gone: null};
	const stopped = (cause?: unknown) => {
		state.gone = new WritError('store_unavailable', 'the thread that writes the database has stopped', {
			hint: 'restart writ; what was being written may or may not be there',
			cause,
		});
		for (const {reject} of waiting.splice(0)) reject(state.gone);
	};
	worker.on('message', (reply: WriterReply) => {
		waiting.shift()?.resolve(reply);
		if (waiting.length === 0) worker.unref();
	});
	worker.once('error', stopped);
	worker.once('exit', () => state.gone ?? stopped());
	return {
		next() {
			if (state.gone) return Promise.reject(state.gone);
			const answer = Promise.withResolvers<WriterReply>();
			waiting.push(answer);
			worker.ref();
			return answer.promise;
		},
	};
}

function toSettled(reply: Extract<WriterReply, {ok: true}>['value'][number]): Settled<Written> {
	return reply.ok ? reply : {ok: false, error: toError(reply.failure)};
}

function toError(failure: Failure): Error {
	if ('bug' in failure) return new Error(`the store's writer failed: ${failure.bug}`);
	const {code, message, hint, details} = failure.known;
	return new WritError(code, message, {...(hint === undefined ? {} : {hint}), details});
}
