import {DatabaseSync, type SQLInputValue} from 'node:sqlite';
import {Kysely} from 'kysely';
import type {IdentityStore} from '#kernel/identity-store.ts';
import {createIdentityStore} from './identity.ts';
import {SQLITE_MIGRATIONS} from './migrations.ts';
import {nodeSqliteDialect} from './node-sqlite-dialect.ts';
import type {Tables} from './schema.ts';

/** In a database without a file: what tests see is what SQLite does. */
export function openMemoryIdentity(): IdentityStore {
	const connection = new DatabaseSync(':memory:');
	for (const {sql} of SQLITE_MIGRATIONS) connection.exec(sql);
	const db = new Kysely<Tables>({dialect: nodeSqliteDialect(connection)});
	return createIdentityStore(db, async ({sql, parameters}) =>
		Number(connection.prepare(sql).run(...(parameters as SQLInputValue[])).changes),
	);
}
