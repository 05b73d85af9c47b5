/** All that is read and written through Kysely, on one connection that reads; loaded when something of it is first asked for. */
import type {DatabaseSync} from 'node:sqlite';
import {Kysely} from 'kysely';
import {createIdentityStore, type Execute} from './identity.ts';
import {createLetters} from './letters.ts';
import {nodeSqliteDialect} from './node-sqlite-dialect.ts';
import {createQueries} from './queries.ts';
import {createQuotaReads} from './quota.ts';
import {createRetentionStore} from './retention.ts';
import type {Tables} from './schema.ts';

export function createSqliteQueries(reader: DatabaseSync, execute: Execute) {
	const db = new Kysely<Tables>({dialect: nodeSqliteDialect(reader)});
	return {
		store: createQueries(db),
		identity: createIdentityStore(db, execute),
		retention: createRetentionStore(db, execute),
		letters: createLetters(db, execute),
		quota: createQuotaReads(db),
	};
}
