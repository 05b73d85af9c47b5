/** Stores for tests: fresh ones of every implementation, on real files and a real server. */
import assert from 'node:assert/strict';
import {randomUUID} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {DatabaseSync} from 'node:sqlite';
import {afterEach, describe, test} from 'node:test';
import pg from 'pg';
import type {Event} from '#contract/event.ts';
import type {AppendBatch, RunFilter, Store} from '#kernel/ports.ts';
import {openMemory} from './memory.ts';
import {openPostgres} from './postgres.ts';
import {openSqlite} from './sqlite.ts';

/** One fresh database. `open` gives a store on it, as another process would have. */
export type Place = {
	open(): Promise<Store>;
	/** Changes rows behind the store's back. */
	damage(sql: string): Promise<void>;
	remove(): Promise<void>;
};

export type Implementation = {
	readonly name: string;
	/** whether several stores can be opened on one database */
	readonly shared: boolean;
	create(): Promise<Place>;
};

type Environment = Readonly<Record<string, string | undefined>>;

type Setting = {
	/** a fresh database, removed after the test */
	place(): Promise<Place>;
	/** a store on a fresh database */
	store(): Promise<Store>;
};

/** Registers the same tests for every implementation. */
export function eachStore(env: Environment, register: (setting: Setting) => void): void {
	const {here, missing} = implementations(env);
	for (const {name, create} of here) describe(name, () => register(createSetting(create)));
	if (missing) testMissing(missing, env);
}

/** Registers tests for the implementations that several processes can use at once. */
export function eachSharedStore(env: Environment, register: (setting: Setting) => void): void {
	const {here, missing} = implementations(env);
	for (const {name, create} of here.filter(({shared}) => shared)) describe(name, () => register(createSetting(create)));
	if (missing) testMissing(missing, env);
}

/** Continuous integration runs against PostgreSQL or fails; elsewhere what was left out is reported as skipped. */
function testMissing(missing: string, env: Environment): void {
	const required = Boolean(env.CI || env.REQUIRE_POSTGRES);
	test('postgres', {skip: required ? false : missing}, () => {
		assert.fail(missing);
	});
}

function createSetting(create: Implementation['create']): Setting {
	const open: {readonly places: Place[]; readonly stores: Store[]} = {places: [], stores: []};
	afterEach(async () => {
		await Promise.all(open.stores.splice(0).map((store) => store.close()));
		await Promise.all(open.places.splice(0).map((place) => place.remove()));
	});
	const place = async (): Promise<Place> => {
		const made = await create();
		open.places.push(made);
		return {
			...made,
			async open() {
				const store = await made.open();
				open.stores.push(store);
				return store;
			},
		};
	};
	return {place, store: async () => (await place()).open()};
}

export const ALL: RunFilter = {tenant: 'local', limit: 200};

/** A moment at which every lease of `FENCE` has run out. */
export const LATER = new Date('2026-03-01T14:00:00.000Z');

export const conflict = {name: 'WritError', code: 'conflict'};

/** All that can be read of these runs. */
export async function snapshot(store: Store, ...runIds: string[]) {
	return {
		runs: await store.runs(ALL),
		events: await Promise.all(runIds.map((runId) => store.read(runId))),
		approvals: await store.approvals('local'),
		threads: await store.threads('local', 200),
		heads: await Promise.all(runIds.map((runId) => store.head(runId))),
	};
}

export async function appendAll(store: Store, ...batches: AppendBatch[]): Promise<void> {
	for (const one of batches) await store.append(one);
}

/** The next `count` events of a subscription. */
export async function take(events: AsyncIterator<Event>, count: number): Promise<number[]> {
	const seqs: number[] = [];
	while (seqs.length < count) {
		const next = await events.next();
		if (next.done) break;
		seqs.push(next.value.seq);
	}
	return seqs;
}

/** Every implementation this machine can run; `missing` says which one it cannot, and how to change that. */
export function implementations(env: Environment): {readonly here: readonly Implementation[]; readonly missing: string | null} {
	const url = env.DATABASE_URL;
	const embedded: readonly Implementation[] = [
		{name: 'memory', shared: false, create: createMemory},
		{name: 'sqlite', shared: true, create: createSqlite},
	];
	if (url) return {here: [...embedded, {name: 'postgres', shared: true, create: () => createPostgres(url)}], missing: null};
	return {here: embedded, missing: 'DATABASE_URL is not set: `scripts/postgres.sh` starts a server and prints one'};
}

async function createMemory(): Promise<Place> {
	return {
		open: async () => openMemory(),
		damage: () => Promise.reject(new Error('memory has no rows to damage')),
		remove: async () => {},
	};
}

async function createSqlite(): Promise<Place> {
	const dir = await mkdtemp(join(tmpdir(), 'writ-store-'));
	const path = join(dir, 'writ.db');
	return {
		open: () => openSqlite(path),
		async damage(sql) {
			const db = new DatabaseSync(path);
			db.exec(sql);
			db.close();
		},
		remove: () => rm(dir, {recursive: true}),
	};
}

async function createPostgres(url: string): Promise<Place> {
	const schema = `test_${randomUUID().replaceAll('-', '')}`;
	const own = new URL(url);
	own.searchParams.set('options', `-c search_path=${schema}`);
	await execute(url, `CREATE SCHEMA ${schema}`);
	return {
		open: () => openPostgres(own.href),
		damage: (sql) => execute(own.href, sql),
		remove: () => execute(url, `DROP SCHEMA ${schema} CASCADE`),
	};
}

async function execute(url: string, sql: string): Promise<void> {
	const client = new pg.Client({connectionString: url});
	await client.connect();
	try {
		await client.query(sql);
	} finally {
		await client.end();
	}
}
