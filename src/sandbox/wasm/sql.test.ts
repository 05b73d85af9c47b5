/** SQL in Wasm: what holds when a statement runs away, asks for too much or gets past the gate. What it answers is in results.test.ts. */
import assert from 'node:assert/strict';
import {chmodSync} from 'node:fs';
import {join} from 'node:path';
import {after, describe, test} from 'node:test';
import type {Frame, RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {spec as anySpec, limits, MIB, permit} from '../fixtures/attack.ts';
import {createPool} from '../pool.ts';
import {snapshots} from '../runners/run-in-child.ts';
import {startEngine} from '../runners/wasm/duckdb/engine.ts';
import {memoryOf} from '../runners/wasm/duckdb/memory.ts';
import {execute} from '../runners/wasm/duckdb/tables.ts';
import {createWasmProvider} from './wasm.ts';

const root = join(import.meta.dirname, '../../..');
const runtime = {root, nodePath: process.execPath};
const signal = new AbortController().signal;
const provider = createWasmProvider(runtime);
after(() => provider.close());

const {data} = await snapshots({t: "SELECT range AS a, 'text ' || range AS b FROM range(1000)"});
chmodSync(data, 0o755);
const views = [{table: 't', path: '/data/t.parquet'}];
const roomy = {...limits, wallMs: 30_000, memoryBytes: 256 * MIB};

function spec(overrides: Parameters<typeof anySpec>[0] = {}): SandboxSpec {
	return anySpec({
		...{runner: 'sql', mounts: [{source: data, target: '/data'}]},
		...overrides,
		limits: {...roomy, ...overrides.limits},
	});
}

function sql(text: string, caps: {maxRows?: number; maxBytes?: number} = {}): RunnerRequest {
	return {kind: 'sql', views, dataset: 'sample', sql: text, maxRows: 100, maxBytes: 100_000, ...caps};
}

async function run(request: RunnerRequest, of: SandboxSpec = spec()): Promise<readonly Frame[]> {
	const sandbox = await provider.open(of, {warm: false, signal});
	try {
		return (await sandbox.run(permit(), request, signal)).frames;
	} finally {
		await sandbox.dispose();
	}
}

test('a statement past the gate and the lock finds no file: the engine has no call that opens one', () => {
	const engine = startEngine(join(root, 'node_modules/@duckdb/duckdb-wasm/dist/duckdb-eh.wasm'), 8_192);
	const memory = memoryOf(engine);
	const out = memory.allocate(8);
	engine.call('duckdb_open_ext', 0, out, 0, 0);
	engine.call('duckdb_connect', memory.pointer(out), out + 4);
	const connection = memory.pointer(out + 4);
	execute('SET autoload_known_extensions = false', {engine, connection});
	const here = import.meta.filename;
	for (const [text, said] of [
		[`FROM read_csv('${here}')`, /No files found/],
		[`FROM '${join(root, 'package-lock.json')}'`, /not found|does not exist|No files found/],
		[`ATTACH '${join(root, 'nothing.db')}'`, /Function not implemented/],
		[`COPY (SELECT 1) TO '${join(root, 'nothing.csv')}'`, /Function not implemented/],
		["FROM 'http://127.0.0.1:9/x.csv'", /No files found/],
	] as const)
		assert.throws(() => execute(text, {engine, connection}), said);
	for (const text of [`read_text('${here}')`, `read_blob('${here}')`, "glob('/*')", "glob('*')"])
		execute(`SELECT error('it was read') FROM ${text}`, {engine, connection});
});

describe('a limit', () => {
	for (const [title, text] of Object.entries({
		'an endless recursion': 'WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i % 7 FROM r) SELECT count(*) FROM r',
		'a join of everything with everything': 'SELECT sum(x.a * y.a * z.a * v.a) FROM t x, t y, t z, t v',
	}))
		test(`${title} is stopped at the time limit`, async () => {
			const sandbox = await provider.open(spec({limits: {wallMs: 500}}), {warm: false, signal});
			await assert.rejects(sandbox.run(permit(), sql(text), signal), {
				code: 'runner_timeout',
				details: {limit: 'wallMs', value: 500},
			});
			await sandbox.ended;
		});

	for (const [title, text] of Object.entries({
		'a list of everything': 'SELECT list(repeat(chr(65 + (x.a % 9)::INTEGER), 1000)) FROM t x, t y, t z',
		'a sort of everything':
			"SELECT * FROM (SELECT md5(x.a || 'x' || y.a) AS m FROM t x, t y, range(100)) ORDER BY m LIMIT 1 OFFSET 90000000",
	}))
		test(`${title} ends at memoryBytes, by name`, async () => {
			const [error] = await run(sql(text)).catch((thrown) => [thrown]);
			assert.deepEqual([error?.code, error?.details?.limit], ['runner_resource_exceeded', 'memoryBytes']);
		});

	test('a result larger than it may be is cut, and says so', async () => {
		const done = (await run(sql('FROM t', {maxBytes: 1_000}))).at(-1);
		assert.deepEqual(done?.type === 'done' && done.truncated, {by: 'bytes', limit: 1_000, total: 1_000});
	});
});

describe('one run', () => {
	test('takes a warm sandbox from the pool', async () => {
		const pool = createPool({provider: createWasmProvider(runtime), size: 1, perSpec: 1, concurrency: 1, queue: 4});
		await pool.warm([{spec: spec(), tenant: 'local'}]);
		const {frames, isolation} = await pool.run(permit(), {spec: spec(), request: sql('SELECT count(*) AS n FROM t')}, signal);
		assert.deepEqual(
			frames.find(({type}) => type === 'rows'),
			{type: 'rows', rows: [[1_000]]},
		);
		assert.deepEqual([isolation.provider, isolation.warm], ['wasm', true]);
		await pool.close();
	});

	test('of another kind is refused', async () => {
		const request: RunnerRequest = {kind: 'python', views: [], code: '1', maxRows: 1, maxBytes: 100};
		const [error] = await run(request);
		assert.deepEqual(error?.type === 'error' && error.code, 'runner_internal_error');
	});

	test('with a snapshot that is not one says that it cannot be read', async () => {
		const request = {...sql('FROM t'), views: [{table: 't', path: '/elsewhere/t.parquet'}]} as RunnerRequest;
		const [error] = await run(request);
		assert.deepEqual(error?.type === 'error' && error.code, 'runner_internal_error');
	});
});
