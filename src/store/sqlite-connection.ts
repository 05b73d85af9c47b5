import {closeSync, openSync} from 'node:fs';
import {DatabaseSync} from 'node:sqlite';
import {WritError} from '#contract/errors.ts';
import {type Applied, checksum, MIGRATIONS_TABLE, pending, SQLITE_MIGRATIONS} from './migrations.ts';
import {toStoreError} from './sqlite-errors.ts';

const BUSY_TIMEOUT_MS = 5_000;

/** Of 4 KiB: how far the log grows before it is brought into the file, which waits for the disk twice more. */
const LOG_PAGES = 4_000;

/** The connection that writes. The file is created, and brought to this version's schema, where that is needed. */
export function openForWriting(path: string): DatabaseSync {
	reserve(path);
	return opened(path, false, (db) => {
		db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON');
		db.exec(`PRAGMA wal_autocheckpoint = ${LOG_PAGES}`);
		assertOurs(db);
		migrate(db);
	});
}

/** Questions and results are in it, so a new file is its owner's alone; SQLite gives the files beside it the same mode. */
function reserve(path: string): void {
	try {
		closeSync(openSync(path, 'a', 0o600));
	} catch {
		// SQLite meets the same obstacle, and has words for it.
	}
}

/**
 * Brings what was committed into the file itself and empties the log beside it, in which pages are as they were before something was
 * erased. What somebody reads at this moment stays there until the next time.
 */
export function emptyLog(path: string): void {
	const db = new DatabaseSync(path, {timeout: BUSY_TIMEOUT_MS});
	try {
		db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
	} finally {
		db.close();
	}
}

/** A connection that can only read. It sees every commit that happened before the read. */
export function openForReading(path: string): DatabaseSync {
	return opened(path, true, () => {});
}

function opened(path: string, readOnly: boolean, prepare: (db: DatabaseSync) => void): DatabaseSync {
	let db: DatabaseSync | undefined;
	try {
		db = new DatabaseSync(path, {readOnly, timeout: BUSY_TIMEOUT_MS});
		prepare(db);
		return db;
	} catch (error) {
		db?.close();
		throw toStoreError(error);
	}
}

function assertOurs(db: DatabaseSync): void {
	const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'").all();
	if (tables.length > 0 && !tables.some(({name}) => name === 'migrations'))
		throw new WritError('store_unavailable', 'the file is the database of another program', {
			hint: 'point writ at another file',
		});
}

/** INVARIANT: the write lock is taken before the past is read, so that two processes that start together migrate once. */
function migrate(db: DatabaseSync): void {
	db.exec('BEGIN IMMEDIATE');
	try {
		db.exec(MIGRATIONS_TABLE);
		const applied = db.prepare('SELECT id, name, checksum FROM migrations ORDER BY id').all() as Applied[];
		const record = db.prepare('INSERT INTO migrations (id, name, checksum, applied_at) VALUES (?, ?, ?, ?)');
		for (const step of pending(SQLITE_MIGRATIONS, applied)) {
			db.exec(step.sql);
			record.run(step.id, step.name, checksum(step), new Date().toISOString());
		}
		db.exec('COMMIT');
	} finally {
		if (db.isTransaction) db.exec('ROLLBACK');
	}
}
