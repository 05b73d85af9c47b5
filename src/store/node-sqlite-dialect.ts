import type {DatabaseSync, SQLInputValue, StatementSync} from 'node:sqlite';
import {
	CompiledQuery,
	type DatabaseConnection,
	type Dialect,
	type Driver,
	type QueryResult,
	SqliteAdapter,
	SqliteIntrospector,
	SqliteQueryCompiler,
} from 'kysely';
import {toStoreError} from './sqlite-errors.ts';

/** Bounds the statements kept prepared; the store has far fewer distinct queries. */
const MAX_PREPARED = 200;

/** Kysely over `node:sqlite`, for one connection. Failures of the database arrive as `WritError`s. */
export function nodeSqliteDialect(db: DatabaseSync): Dialect {
	return {
		createAdapter: () => new SqliteAdapter(),
		createDriver: () => createDriver(db),
		createIntrospector: (kysely) => new SqliteIntrospector(kysely),
		createQueryCompiler: () => new SqliteQueryCompiler(),
	};
}

function createDriver(db: DatabaseSync): Driver {
	const connection = createConnection(db);
	const run = (sql: string) => async (on: DatabaseConnection) => {
		await on.executeQuery(CompiledQuery.raw(sql));
	};
	return {
		init: async () => {},
		acquireConnection: async () => connection,
		releaseConnection: async () => {},
		beginTransaction: run('BEGIN IMMEDIATE'),
		commitTransaction: run('COMMIT'),
		rollbackTransaction: run('ROLLBACK'),
		destroy: async () => db.close(),
	};
}

function createConnection(db: DatabaseSync): DatabaseConnection {
	const prepared = new Map<string, StatementSync>();
	return {
		async executeQuery<Row>({sql, parameters}: CompiledQuery): Promise<QueryResult<Row>> {
			try {
				const statement = prepared.get(sql) ?? db.prepare(sql);
				if (prepared.size < MAX_PREPARED) prepared.set(sql, statement);
				// `node:sqlite` makes rows without a prototype; callers compare and spread plain objects.
				const rows = statement.all(...(parameters as SQLInputValue[])).map((row) => ({...row}));
				return {rows: rows as Row[]};
			} catch (error) {
				throw toStoreError(error);
			}
		},
		async *streamQuery() {
			yield* [];
			throw new Error('rows of a store are read in pages, not streamed');
		},
	};
}
