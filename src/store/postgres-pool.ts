import type {PostgresPool, PostgresPoolClient} from 'kysely';
import pg from 'pg';
import {toStoreError} from './postgres-errors.ts';

const MAX_CONNECTIONS = 10;
const INT8 = 20;

/** How every connection behaves: nothing waits for ever, and numbers are numbers. */
export function connectionOptions(url: string): pg.ClientConfig {
	return {
		connectionString: url,
		application_name: 'writ',
		connectionTimeoutMillis: 5_000,
		keepAlive: true,
		statement_timeout: 15_000,
		lock_timeout: 5_000,
		idle_in_transaction_session_timeout: 15_000,
		query_timeout: 20_000,
		types: {
			// Counters, far below 2^53; `pg` would give text.
			getTypeParser: (oid: number, format?: 'text' | 'binary') =>
				oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text'),
		},
	};
}

/** A pool whose failures arrive as `WritError`s and which replaces broken connections by itself. */
export function createPool(url: string): PostgresPool {
	const pool = new pg.Pool({...connectionOptions(url), max: MAX_CONNECTIONS});
	// A connection that breaks is reported by the query it breaks, or replaced before the next one; the events have no reader.
	pool.on('error', () => {});
	pool.on('connect', (client) => client.on('error', () => {}));
	return {
		options: pool.options,
		end: () => pool.end(),
		async connect() {
			try {
				return withStoreErrors(await pool.connect());
			} catch (error) {
				throw toStoreError(error);
			}
		},
	};
}

const wrapped = new WeakMap<pg.PoolClient, PostgresPoolClient>();

function withStoreErrors(client: pg.PoolClient): PostgresPoolClient {
	const known = wrapped.get(client);
	if (known) return known;
	const wrapper = {
		async query(sql: string, parameters: readonly unknown[]) {
			try {
				return await client.query(sql, [...parameters]);
			} catch (error) {
				throw toStoreError(error);
			}
		},
		release: () => client.release(),
	} as unknown as PostgresPoolClient;
	wrapped.set(client, wrapper);
	return wrapper;
}
