import assert from 'node:assert/strict';
import {chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {describe, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {createCompileCache} from './compile-cache.ts';
import {limits, MIB, permit} from './fixtures/attack.ts';
import {createProcessProvider} from './process/process.ts';
import {createRuntime} from './runtime.ts';

const root = join(import.meta.dirname, '../..');
const signal = new AbortController().signal;
const sql: SandboxSpec = {
	runner: 'sql',
	mounts: [],
	network: 'none',
	limits: {...limits, memoryBytes: 512 * MIB, processes: 64, openFiles: 256, scratchBytes: 64 * MIB, cpus: 2},
};

describe('the SQL runner in its sandbox', () => {
	test('starts without control groups too', async () => {
		const runtime = createRuntime({root, nodePath: process.execPath, pythonPath: '/nonexistent'});
		const provider = createProcessProvider({runtime, cgroups: 'off'});
		const sandbox = await provider.open(sql, {warm: false, signal});
		await sandbox.dispose();
		await provider.close();
	});

	test('answers, with and without compiled code from an earlier start', async () => {
		const provider = createProcessProvider({
			runtime: createRuntime({root, nodePath: process.execPath, pythonPath: '/nonexistent'}),
		});
		for (let i = 0; i < 2; i++) {
			const sandbox = await provider.open(sql, {warm: false, signal});
			const request: RunnerRequest = {kind: 'sql', views: [], sql: 'SELECT 42 AS x', maxRows: 10, maxBytes: 1_000};
			const {frames, isolation} = await sandbox.run(permit(), request, signal);
			assert.deepEqual(
				frames.find((frame) => frame.type === 'rows'),
				{type: 'rows', rows: [[42]]},
			);
			assert.equal(isolation.seccomp, true);
		}
		await provider.close();
	});

	test('sees its own files, the libraries and nothing else of the host', async () => {
		const {mounts, environment} = await createRuntime({root, nodePath: process.execPath, pythonPath: '/nonexistent'}).program(
			sql,
		);
		const targets = mounts.map(({target}) => target).filter((target) => !target.startsWith('/usr/lib'));
		assert.deepEqual(targets.toSorted(), [
			'/etc/ld.so.cache',
			'/runtime/app/node_modules/@duckdb',
			'/runtime/app/package.json',
			'/runtime/app/src/sandbox/runners',
			'/runtime/node',
		]);
		assert.deepEqual(environment, {UV_THREADPOOL_SIZE: '2'});
	});
});

test('a Python that is not there makes its runner unavailable, with the command that installs it', async () => {
	const runtime = createRuntime({root, nodePath: process.execPath, pythonPath: '/nonexistent'});
	await assert.rejects(runtime.program({...sql, runner: 'python'}), {
		code: 'sandbox_unavailable',
		message: 'no Python with pandas and numpy was found at /nonexistent',
		details: {runner: 'python'},
	});
	assert.deepEqual(await runtime.versions(), {node: process.versions.node});
});

describe('a compile cache', () => {
	const fill = async (directory: string) => writeFileSync(join(directory, 'code'), 'compiled', {mode: 0o600});
	const until = async (condition: () => boolean) => {
		while (!condition()) await delay(1);
	};

	test('is made once, in the background, and found from then on, by other servers too', async () => {
		const parent = mkdtempSync(join(tmpdir(), 'writ-cache-'));
		const cache = createCompileCache(parent, 'sql', [import.meta.filename]);
		assert.equal(cache.find(fill), undefined);
		await until(() => cache.find(fill) !== undefined);
		const directory = cache.find(fill);
		assert.equal(
			createCompileCache(parent, 'sql', [import.meta.filename]).find(() => assert.fail('made twice')),
			directory,
		);
		assert.equal(readdirSync(parent).length, 1);
		rmSync(parent, {recursive: true});
	});

	test('is made anew when what was compiled has changed', async () => {
		const parent = mkdtempSync(join(tmpdir(), 'writ-cache-'));
		const input = join(parent, 'runner.ts');
		for (const source of ['old', 'newer']) {
			writeFileSync(input, source);
			const cache = createCompileCache(join(parent, 'caches'), 'sql', [input]);
			assert.equal(cache.find(fill), undefined);
			await until(() => cache.find(fill) !== undefined);
		}
		assert.equal(readdirSync(join(parent, 'caches')).length, 2);
		rmSync(parent, {recursive: true});
	});

	test('that cannot be made is done without', async () => {
		const parent = mkdtempSync(join(tmpdir(), 'writ-cache-'));
		const cache = createCompileCache(parent, 'sql', [import.meta.filename]);
		const failed = Promise.withResolvers<void>();
		cache.find(async () => {
			setImmediate(failed.resolve);
			throw new Error('no sandbox');
		});
		await failed.promise;
		assert.equal(cache.find(fill), undefined);
		assert.deepEqual(readdirSync(parent), []);
		chmodSync(parent, 0o755);
		assert.ok(existsSync(parent));
		rmSync(parent, {recursive: true});
	});
});
