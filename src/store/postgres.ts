import {Kysely, PostgresDialect, sql} from 'kysely';
import {WritError} from '#contract/errors.ts';
import type {AppendBatch, Store} from '#kernel/ports.ts';
import {retains} from './admit.ts';
import {Group, type Settled} from './group.ts';
import {createIdentityStore, type Execute} from './identity.ts';
import {LETTERS} from './letter-name.ts';
import {createLetters} from './letters.ts';
import {appendGroup, CHANNEL} from './postgres-append.ts';
import {isRace} from './postgres-errors.ts';
import {PostgresListener} from './postgres-listener.ts';
import {migrate} from './postgres-migrate.ts';
import {createPool} from './postgres-pool.ts';
import {changeStorage} from './postgres-quota.ts';
import {NO_LEASE, toInstant} from './project.ts';
import {createQueries} from './queries.ts';
import {createQuotaReads} from './quota.ts';
import {createRetentionStore} from './retention.ts';
import type {Tables} from './schema.ts';
import {Watchers} from './watchers.ts';

/** A notification can be lost with the connection that carried it, without the connection noticing. */
const RECHECK_MS = 2_000;
/** How often a group that lost a race against another replica is decided again. */
const RACES = 3;
/** How long a batch is tried again whose COMMIT was not answered; after that nobody can tell whether it is durable. */
const SETTLE_MS = 10_000;
const SETTLE_PAUSE_MS = 100;

/**
 * The store of a team: any number of servers on one PostgreSQL. Throws `store_unavailable` when it cannot be reached or used;
 * once open, it recovers by itself when the server comes back.
 */
export async function openPostgres(url: string): Promise<Store> {
	const db = new Kysely<Tables>({dialect: new PostgresDialect({pool: createPool(url)})});
	try {
		await migrate(db);
	} catch (error) {
		await db.destroy();
		throw error;
	}
	const queries = createQueries(db);
	const watchers = new Watchers({read: orNothing(queries.read), recheckMs: RECHECK_MS});
	const listener = new PostgresListener(url, {
		onRun: (runId) => watchers.wake(runId),
		onConnected: () => watchers.wakeAll(),
	});
	await listener.connect();
	const execute: Execute = async (query) => Number((await db.executeQuery(query)).numAffectedRows ?? 0);
	const letters = createLetters(db, execute);
	const ring = async () => void (await sql`SELECT pg_notify(${CHANNEL}, ${LETTERS})`.execute(db));
	const group = new Group<AppendBatch, null>((batches) => commit(db, batches));
	return {
		...queries,
		...createLeases(db),
		identity: createIdentityStore(db, execute),
		retention: createRetentionStore(db, execute),
		letters: {
			...letters,
			send: async (letter) => letters.send(letter).then(ring),
			reply: async (letterId, reply) => letters.reply(letterId, reply).then(ring),
			listen: (listener) => watchers.watch(LETTERS, listener),
		},
		quota: {...createQuotaReads(db), change: (change) => changeStorage(db, change)},
		async append(batch) {
			await group.submit(batch);
			watchers.wake(batch.runId);
		},
		subscribe: (runId, after, signal) => watchers.follow(runId, after, signal),
		async check() {
			await db.transaction().execute(async (tx) => {
				// Replicas that check at once wait for one another on the one row.
				await sql`INSERT INTO checks (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id`.execute(tx);
				await sql`DELETE FROM checks`.execute(tx);
			});
		},
		async close() {
			watchers.close();
			await group.drain();
			await listener.close();
			await db.destroy();
		},
	};
}

/** A follower waits for a server that is away: it is woken when the listener is connected again. */
function orNothing(read: Store['read']): Store['read'] {
	return async (runId, after) => {
		try {
			return await read(runId, after);
		} catch (error) {
			if (error instanceof WritError && error.code === 'store_unavailable') return [];
			throw error;
		}
	};
}

/**
 * Commits a group. A group that fails for a reason of its own is tried batch by batch, so that one batch cannot take others with
 * it; one whose COMMIT was never answered is settled, because it may be durable.
 */
async function commit(
	db: Kysely<Tables>,
	batches: readonly AppendBatch[],
	{race = 1, settling = false} = {},
): Promise<readonly Settled<null>[]> {
	// Alone: what it is judged by is read when it is written.
	if (batches.length > 1 && batches.some(({events}) => retains(events))) return commitEach(db, batches);
	const progress = {decided: false};
	try {
		return await appendGroup(db, batches, () => {
			progress.decided = true;
		});
	} catch (error) {
		if (isRace(error) && race < RACES) return commit(db, batches, {race: race + 1, settling});
		if (isUnavailable(error) && progress.decided && !settling) return settleAll(db, batches);
		if (isUnavailable(error) || batches.length === 1) return batches.map(() => ({ok: false, error}));
		return commitEach(db, batches);
	}
}

async function commitEach(db: Kysely<Tables>, batches: readonly AppendBatch[]): Promise<readonly Settled<null>[]> {
	const settled: Settled<null>[] = [];
	for (const batch of batches) settled.push(...(await commit(db, [batch])));
	return settled;
}

function isUnavailable(error: unknown): boolean {
	return error instanceof WritError && error.code === 'store_unavailable';
}

/** In the order of the group: a later batch of a run can only follow an earlier one. */
async function settleAll(db: Kysely<Tables>, batches: readonly AppendBatch[]): Promise<readonly Settled<null>[]> {
	const deadline = performance.now() + SETTLE_MS;
	const settled: Settled<null>[] = [];
	for (const batch of batches) settled.push(await settle(db, batch, deadline));
	return settled;
}

/**
 * Appends a batch that may be durable already. Appending again rather than looking: the lost transaction may still be ending, and
 * only a writer waits for its locks. A batch that finds its own events in its place has been written.
 */
async function settle(db: Kysely<Tables>, batch: AppendBatch, deadline: number): Promise<Settled<null>> {
	for (;;) {
		const [result] = await commit(db, [batch], {settling: true});
		if (!result || result.ok) return result ?? {ok: true, value: null};
		try {
			if (!isUnavailable(result.error)) return (await isStored(db, batch)) ? {ok: true, value: null} : result;
		} catch {
			// The server went away again: the next attempt tells whether it is back.
		}
		if (performance.now() > deadline) return result;
		await new Promise((resolve) => setTimeout(resolve, SETTLE_PAUSE_MS));
	}
}

async function isStored(db: Kysely<Tables>, {runId, events}: AppendBatch): Promise<boolean> {
	const last = events.at(-1);
	if (!last) return false;
	const stored = db.selectFrom('events').select('event').where('run_id', '=', runId).where('seq', '=', last.seq);
	return (await stored.executeTakeFirst())?.event === JSON.stringify(last);
}

function createLeases(db: Kysely<Tables>): Pick<Store, 'claim' | 'abandon' | 'renew'> {
	return {
		async claim(holder, now, leaseMs, runId) {
			const at = now.toISOString();
			const free = db.selectFrom('runs').select('run_id').limit(1).forUpdate();
			const which =
				runId === undefined
					? free
							.where('lease_until', '<=', at)
							.where(({eb, or, and, not, exists, selectFrom}) => {
								const pending = selectFrom('approvals')
									.select('approval_id')
									.whereRef('approvals.run_id', '=', 'runs.run_id')
									.where('state', '=', 'pending')
									.where('approve_by', '>', at);
								return or([eb('status', '=', 'running'), and([eb('status', '=', 'awaiting_approval'), not(exists(pending))])]);
							})
							.orderBy('lease_until')
							.orderBy('run_id')
							.skipLocked()
					: free
							.where('run_id', '=', runId)
							.where(({eb, or, and}) =>
								or([
									eb('status', '=', 'awaiting_approval'),
									and([eb('status', '=', 'running'), or([eb('lease_until', '<=', at), eb('holder', '=', holder)])]),
								]),
							);
			const taken = await db
				.updateTable('runs')
				.set(({eb}) => ({holder, token: eb('token', '+', 1), lease_until: new Date(now.getTime() + leaseMs).toISOString()}))
				.where('run_id', '=', which)
				.returning(['run_id as runId', 'token'])
				.executeTakeFirst();
			return taken ?? null;
		},
		async abandon(holder) {
			const held = db.selectFrom('runs').select('run_id').where('status', '=', 'running').where('holder', '=', holder);
			// What another replica has locked it is taking over, or abandons itself.
			await db.updateTable('runs').set({lease_until: NO_LEASE}).where('run_id', 'in', held.forUpdate().skipLocked()).execute();
		},
		async renew(runId, {holder, token, until}) {
			const {numUpdatedRows} = await db
				.updateTable('runs')
				.set({lease_until: toInstant(until)})
				.where('run_id', '=', runId)
				.where('holder', '=', holder)
				.where('token', '=', token)
				.where('finished_at', 'is', null)
				.executeTakeFirst();
			return numUpdatedRows === 1n;
		},
	};
}
