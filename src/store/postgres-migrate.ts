import {type Kysely, sql, type Transaction} from 'kysely';
import {type Applied, checksum, MIGRATIONS_TABLE, POSTGRES_MIGRATIONS, pending} from './migrations.ts';
import type {Tables} from './schema.ts';

/** Any number that no other program on the same database uses for its advisory locks: "writ" in ASCII. */
const MIGRATION_LOCK = 0x77726974;

/** Brings the database to this version's schema. INVARIANT: one replica at a time, and all of it or nothing. */
export async function migrate(db: Kysely<Tables>): Promise<void> {
	await db.transaction().execute(async (tx) => {
		await sql`SELECT pg_advisory_xact_lock(${sql.lit(MIGRATION_LOCK)})`.execute(tx);
		await sql.raw(MIGRATIONS_TABLE).execute(tx);
		const {rows} = await sql<Applied>`SELECT id, name, checksum FROM migrations ORDER BY id`.execute(tx);
		for (const step of pending(POSTGRES_MIGRATIONS, rows)) {
			await runScript(tx, step.sql);
			const at = new Date().toISOString();
			await sql`INSERT INTO migrations (id, name, checksum, applied_at) VALUES (${step.id}, ${step.name}, ${checksum(step)}, ${at})`.execute(
				tx,
			);
		}
	});
}

/** Kysely sends statements with parameters, and PostgreSQL takes those one at a time. Our schema has no `;` inside a statement. */
async function runScript(tx: Transaction<Tables>, script: string): Promise<void> {
	for (const statement of script.split(';')) if (statement.trim()) await sql.raw(statement).execute(tx);
}
