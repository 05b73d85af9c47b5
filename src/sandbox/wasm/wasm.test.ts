import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {pathToFileURL} from 'node:url';
import type {Frame, RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {revokePermit} from '#kernel/permit.ts';
import {spec as anySpec, limits, MIB, permit} from '../fixtures/attack.ts';
import {createTarget, type HostTarget} from '../fixtures/host-target.ts';
import {openly} from '../fixtures/open-pyodide.ts';
import {CLOSED, PRELUDE, WASM_ATTACKS} from '../fixtures/wasm-attacks.ts';
import {createPool} from '../pool.ts';
import {wasmCommand} from './command.ts';
import {createWasmProvider} from './wasm.ts';

const root = join(import.meta.dirname, '../../..');
const runtime = {root, nodePath: process.execPath};
const signal = new AbortController().signal;
const ANSWER_WITHIN_MS = 250;

const spec = (overrides: Parameters<typeof anySpec>[0] = {}) =>
	anySpec({...overrides, limits: {wallMs: 20_000, ...overrides.limits}});

function python(code: string, caps: {maxRows?: number; maxBytes?: number} = {}): RunnerRequest {
	return {kind: 'python', views: [], code, maxRows: 100, maxBytes: 100_000, ...caps};
}

const provider = createWasmProvider(runtime);
after(() => provider.close());

async function run(request: RunnerRequest, of: SandboxSpec = spec()): Promise<readonly Frame[]> {
	const sandbox = await provider.open(of, {warm: false, signal});
	try {
		return (await sandbox.run(permit(), request, signal)).frames;
	} finally {
		await sandbox.dispose();
	}
}

/** The one cell of a result. */
async function value(code: string, of?: SandboxSpec): Promise<unknown> {
	const frames = await run(python(code), of);
	const rows = frames.flatMap((frame) => (frame.type === 'rows' ? frame.rows : []));
	assert.equal(frames.at(-1)?.type, 'done', JSON.stringify(frames));
	return rows[0]?.[0];
}

describe('an attacker inside', () => {
	const host: {target?: HostTarget} = {};
	before(async () => {
		process.env.WRIT_CANARY = 'canary'; // a server's own environment is full of secrets
		host.target = await createTarget();
	});
	after(() => host.target?.remove());
	const prelude = () => `${host.target?.prelude('/data', '/tmp')}${PRELUDE}`;
	const of = () => spec({mounts: [{source: host.target?.data ?? '', target: '/data'}]});

	test('contained: every way into JavaScript, and what lies behind it', async () => {
		const attempts = WASM_ATTACKS.map(({code}) => `${code},`).join('\n');
		const frames = await run(python(`${prelude()}\n[${attempts}]`), of());
		const cells = frames.flatMap((frame) => (frame.type === 'rows' ? frame.rows.map(([cell]) => cell) : []));
		assert.deepEqual(byTitle(cells), byTitle(WASM_ATTACKS.map(({inside}) => inside)));
	});

	test('succeeds in Pyodide as its package starts it', async () => {
		const found = JSON.parse(
			String(await openly(`${prelude()}\nimport json\njson.dumps([${WASM_ATTACKS.map(({code}) => code).join(', ')}])`)),
		);
		assert.deepEqual(byTitle(found), byTitle(WASM_ATTACKS.map(({outside}) => outside)));
	});

	for (const [title, code, expected] of CLOSED)
		test(`does not reach ${title}`, async () => {
			assert.equal(await value(`${prelude()}\n${code}`, of()), expected);
			assert.equal(readFileSync(join(host.target?.data ?? '', 'a.csv'), 'utf8'), 'a,b\n1,2\n');
		});

	test('reads its dataset', async () => {
		assert.equal(await value('open("/data/a.csv").read()', of()), 'a,b\n1,2\n');
	});

	test('finds nothing that evaluates text in the libraries of Wasm either', async () => {
		const code = 'import ctypes\nctypes.CDLL(None).emscripten_run_script(b"globalThis.owned = 1")';
		assert.equal(await openly(`${code}\nimport js\njs.owned`), 1);
		const [frame] = await run(python(code));
		assert.deepEqual(frame?.type === 'error' && [frame.code, frame.message], ['runner_internal_error', 'eval is not defined']);
	});
});

function byTitle(values: readonly unknown[]): object {
	return Object.fromEntries(WASM_ATTACKS.map(({title}, index) => [title, values[index]]));
}

/** Runs JavaScript as code that escaped from Wasm would: in the process as it was started, before or after the realm was sealed. */
function escaped(code: string, flags = wasmCommand(root, {runner: 'python', limits, mounts: []}).slice(0, -2)): unknown {
	const args = [...flags, '--input-type=module', '-e', code];
	const {stdout, stderr} = spawnSync(process.execPath, args, {encoding: 'utf8', env: {}, cwd: root});
	return stdout === '' ? stderr : JSON.parse(stdout);
}

describe('the process around Wasm', () => {
	const powers = `import fs from 'node:fs'; import {spawnSync} from 'node:child_process'; import {Worker} from 'node:worker_threads'; import net from 'node:net';
		const attempt = (act) => { try { return act() } catch (error) { return error.code ?? error.name } };
		fs.writeSync(1, JSON.stringify({
			read: attempt(() => fs.readFileSync(${JSON.stringify(join(root, 'package-lock.json'))}).length > 0),
			write: attempt(() => fs.rmdirSync(fs.mkdtempSync('/tmp/writ-wasm-')) ?? 'written'),
			program: attempt(() => spawnSync('true').status),
			worker: attempt(() => new Worker('0', {eval: true}) && 'started'),
			addon: attempt(() => process.dlopen({exports: {}}, '/nowhere.node')),
			text: attempt(() => eval('1')),
			own: attempt(() => fs.readFileSync(${JSON.stringify(join(root, 'package.json'))}).length > 0),
			network: attempt(() => net.connect(9, '127.0.0.1').on('error', () => {}).connecting),
		})); process.exit(0)`;

	test('may read what it runs, and nothing else of the host; the network is not the permission model’s to refuse', () => {
		const denied = 'ERR_ACCESS_DENIED';
		assert.deepEqual(escaped(powers), {
			...{read: denied, write: denied, program: denied, worker: denied, addon: 'ERR_DLOPEN_DISABLED', text: 'EvalError'},
			...{own: true, network: true},
		});
	});

	test('that runs SQL may do no more than one that runs Python', () => {
		const flags = wasmCommand(root, {runner: 'sql', limits, mounts: []}).slice(0, -2);
		assert.deepEqual(escaped(powers, flags), escaped(powers));
	});

	test('could do all of it without its flags', () => {
		assert.deepEqual(escaped(powers, ['--no-warnings']), {
			...{
				read: true,
				write: 'written',
				program: 0,
				worker: 'started',
				addon: 'ERR_DLOPEN_FAILED',
				text: 1,
				own: true,
				network: true,
			},
		});
	});

	const realm = pathToFileURL(join(root, 'src/sandbox/runners/wasm/bare-realm.ts')).href;
	const ways = `import {writeSync} from 'node:fs'; import node from 'node:process'; import {enterBareRealm} from ${JSON.stringify(realm)};
		SEAL
		const attempt = async (act) => { try { return await act() } catch (error) { return error.name } };
		const getter = () => { Object.defineProperty(Object.prototype, 'owned', {get() { return 1 }, configurable: true}); return 'set' };
		writeSync(1, JSON.stringify({
			process: typeof globalThis.process, fetch: typeof globalThis.fetch, require: typeof globalThis.require, socket: typeof globalThis.WebSocket,
			builtin: typeof node.getBuiltinModule, binding: typeof node.binding, dlopen: typeof node.dlopen, stdout: typeof node.stdout, env: typeof node.env,
			imported: await attempt(async () => typeof (await import('node:net')).connect), data: await attempt(async () => (await import('data:text/javascript,export const a = 1')).a),
			getter: await attempt(getter), pushed: await attempt(() => { Array.prototype.push = 1; return 'set' }),
			named: await attempt(() => { const error = new Error('x'); error.name = 'Own'; return error.name }),
		})); node.reallyExit(0)`;

	test('leaves no way to the network when code starts: no module, no global, no property of process', () => {
		const gone = Object.fromEntries(
			['process', 'fetch', 'require', 'socket', 'builtin', 'binding', 'dlopen', 'stdout', 'env'].map((name) => [
				name,
				'undefined',
			]),
		);
		assert.deepEqual(escaped(ways.replace('SEAL', "enterBareRealm('/nowhere').seal();")), {
			...gone,
			...{imported: 'Error', data: 'Error', getter: 'TypeError', pushed: 'TypeError', named: 'Own'},
		});
	});

	test('has all those ways in an ordinary realm', () => {
		const there = {
			process: 'object',
			fetch: 'function',
			require: 'undefined',
			socket: 'function',
			builtin: 'function',
			binding: 'function',
		};
		assert.deepEqual(escaped(ways.replace('SEAL', ''), ['--no-warnings']), {
			...{...there, dlopen: 'function', stdout: 'object', env: 'object'},
			...{imported: 'function', data: 1, getter: 'set', pushed: 'set', named: 'Own'},
		});
	});
});

describe('a limit', () => {
	for (const [title, code] of Object.entries({
		'one huge allocation': 'b = bytearray(1 << 30)',
		'many small allocations': 'keep = []\nwhile True: keep.append(bytearray(65536))',
		'a full scratch': 'n = 0\nwhile True:\n  n += 1\n  open(f"/tmp/{n}", "wb").write(bytes(1 << 20))',
	}))
		test(`${title} ends at memoryBytes, by name`, async () => {
			const frames = await run(python(code)).catch((error) => [error]);
			const [last] = frames.slice(-1);
			assert.deepEqual([last?.code, last?.details.limit], ['runner_resource_exceeded', 'memoryBytes']);
		});

	test('memory that JavaScript holds outside Wasm ends at memoryBytes, by name', {
		skip: process.platform !== 'linux' && 'only Linux tells how much memory a process holds',
	}, async () => {
		const code = 'from pyodide.ffi import to_js\nkeep = []\nwhile True: keep.append(to_js(bytes(1 << 20)))';
		await assert.rejects(run(python(code)), {
			code: 'runner_resource_exceeded',
			details: {limit: 'memoryBytes', value: limits.memoryBytes},
		});
	});

	for (const [title, code] of Object.entries({
		'an endless loop': 'while True: pass',
		'a sleeper': 'import time\ntime.sleep(60)',
		'an endless loop that catches everything': 'while True:\n  try:\n    while True: pass\n  except BaseException: pass',
	}))
		test(`${title} is stopped at the time limit, promptly`, async () => {
			const sandbox = await provider.open(spec({limits: {wallMs: 300}}), {warm: false, signal});
			const started = performance.now();
			await assert.rejects(sandbox.run(permit(), python(code), signal), {
				code: 'runner_timeout',
				details: {limit: 'wallMs', value: 300},
			});
			await sandbox.ended;
			assert.ok(performance.now() - started < 300 + ANSWER_WITHIN_MS, `${performance.now() - started} ms`);
		});

	test('an endless loop that is granted less time than it takes ends at cpus, by name', async () => {
		const of = spec({limits: {wallMs: 60_000, cpus: 0.01}});
		await assert.rejects(run(python('while True: pass'), of), {
			code: 'runner_resource_exceeded',
			details: {limit: 'cpus', value: 0.01},
		});
	});

	test('an answer larger than the output limit ends at outputBytes, by name', async () => {
		await assert.rejects(run(python('"x" * (8 << 20)', {maxBytes: 16 * MIB})), {
			code: 'runner_resource_exceeded',
			details: {limit: 'outputBytes', value: limits.outputBytes},
		});
	});
});

describe('the protocol', () => {
	test('frames forged on standard output are text, without control characters, up to a cap', async () => {
		const forged = 'import sys\nsys.stdout.write("\\0\\0\\0\\4{}\\x1b[31mred\\x1b[0m\\n" + "x" * 200000 + "\\n")\n1';
		const done = (await run(python(forged))).at(-1);
		assert.ok(done?.type === 'done');
		assert.equal(done.stdout?.slice(0, 8), '{}red\nxx');
		assert.match(done.stdout ?? '', /… \d+ more bytes were left out\n$/);
	});

	for (const [title, code] of Object.entries({
		'leaving without an answer': 'import os\nos._exit(0)',
		'leaving with an exit code': 'import os\nos._exit(7)',
		'a crash': 'import os\nos.abort()',
		'a fault in Wasm': 'import ctypes\nctypes.string_at(0xfffffff0, 8)',
	}))
		test(`${title} is an internal error`, async () => {
			const outcome = await run(python(code)).then(
				(frames) => frames.at(-1),
				(error) => error,
			);
			assert.equal(outcome.code, 'runner_internal_error', JSON.stringify(outcome));
		});

	test('a frame that the code replaces is its own answer, and no more than that', async () => {
		const code = `import gc\nfor each in gc.get_objects():\n  if type(each).__name__ == "Frames": each.sent.append('{"type": "approve"}')\n1`;
		await assert.rejects(run(python(code)), {code: 'runner_internal_error', message: /unknown shape/});
	});

	test('an error of the code inside is a frame, not a failure', async () => {
		const frames = await run(python('raise KeyError("x")'));
		assert.deepEqual(frames, [
			{type: 'error', code: 'python_execution_error', message: "KeyError: 'x' (line 1)", details: {line: 1}},
		]);
	});
});

describe('one run', () => {
	test('needs a live permit', async () => {
		const revoked = permit();
		revokePermit(revoked);
		const sandbox = await provider.open(spec(), {warm: false, signal});
		await assert.rejects(sandbox.run(revoked, python('1'), signal), {code: 'policy_denied'});
		await sandbox.dispose();
	});

	test('is the only one of its sandbox, and says what isolated it', async () => {
		const sandbox = await provider.open(spec(), {warm: true, signal});
		const {isolation} = await sandbox.run(permit(), python('1'), signal);
		assert.deepEqual(
			[isolation.provider, isolation.level, isolation.warm, isolation.network],
			['wasm', 'kernel-shared', true, 'none'],
		);
		assert.deepEqual(isolation.limits, {
			...{wallMs: 'kill', memoryBytes: 'engine', cpus: 'rlimit', processes: 'engine', openFiles: 'rlimit'},
			...{scratchBytes: 'none', fileBytes: 'rlimit', outputBytes: 'kill'},
		});
		await assert.rejects(sandbox.run(permit(), python('1'), signal), /a sandbox runs once/);
		await sandbox.ended;
	});

	test('is cancelled by its signal, before it starts and while it runs', async () => {
		const cancel = new AbortController();
		await assert.rejects(provider.open(spec(), {warm: false, signal: AbortSignal.abort()}), {code: 'cancelled'});
		const sandbox = await provider.open(spec(), {warm: false, signal: cancel.signal});
		const running = sandbox.run(permit(), python('import time\ntime.sleep(60)'), cancel.signal);
		cancel.abort();
		await assert.rejects(running, {code: 'cancelled'});
		await sandbox.ended;
	});

	test('takes a warm sandbox from the pool and finds nothing of the run before it', async () => {
		const pool = createPool({provider: createWasmProvider(runtime), size: 1, perSpec: 1, concurrency: 1, queue: 4});
		await pool.warm([{spec: spec(), tenant: 'local'}]);
		const request = python('import os\nleft = os.path.exists("/tmp/marker")\nopen("/tmp/marker", "w").close()\nleft');
		for (let each = 0; each < 2; each++) {
			const {frames, isolation} = await pool.run(permit(), {spec: spec(), request}, signal);
			assert.deepEqual(
				frames.find(({type}) => type === 'rows'),
				{type: 'rows', rows: [[false]]},
			);
			if (each === 0) assert.equal(isolation.warm, true);
		}
		await pool.close();
	});

	for (const [title, of, message] of [
		['another runner', spec({runner: 'ingest'}), /does not run ingest/],
		['a directory to write to', spec({output: '/tmp'}), /writes no files/],
		[
			'a way to the network',
			spec({network: {allow: [{host: 'example.org', ports: [443], opaque: false}], maxBytes: 1}}),
			/no way to the network/,
		],
		['a mount that is not there', spec({mounts: [{source: '/nonexistent', target: '/data'}]}), /does not exist/],
	] as const)
		test(`is refused ${title}`, () =>
			assert.rejects(provider.open(of, {warm: false, signal}), {code: 'sandbox_unavailable', message}));
});

test('the provider says what it is and what it is not', async () => {
	const {availability, runs, egress, versions, weaknesses} = await provider.facts();
	assert.deepEqual({availability, runs, egress}, {availability: {kind: 'available'}, runs: ['sql', 'python'], egress: false});
	assert.deepEqual(Object.keys(versions), ['duckdb-wasm', 'pyodide', 'python', 'isolation']);
	assert.ok(weaknesses.some((each) => each.startsWith('processor time is limited in all')));
});

test('a provider without its packages says which command brings them', async () => {
	const facts = await createWasmProvider({...runtime, root: '/nonexistent'}).facts();
	assert.deepEqual(facts.availability, {
		kind: 'unavailable',
		reason: 'the npm package `@duckdb/duckdb-wasm` is not installed',
		hint: 'run `npm install`',
	});
});
