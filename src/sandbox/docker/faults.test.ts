/** What becomes of runs, and of what they leave, when a server or the engine dies. The engine is one of our own. */
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {after, describe, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import {z} from 'zod';
import {attack, permit, python, said, spec} from '../fixtures/attack.ts';
import {attackedProvider, startEngine} from '../fixtures/engine.ts';
import {createPool} from '../pool.ts';
import {createDockerApi} from './api.ts';

const signal = new AbortController().signal;
const engine = startEngine();
const skip = typeof engine === 'string' && engine;
const {host, script} = typeof engine === 'string' ? {host: null, script: () => {}} : engine;
after(() => script('stop'));

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
	for (let waited = 0; !(await condition()); waited += 20) {
		assert.ok(waited < 15_000, 'it did not happen within fifteen seconds');
		await delay(20);
	}
}

/** Of anybody's sandboxes on this engine. */
async function containers(): Promise<string[]> {
	const schema = z.array(z.looseObject({Id: z.string()}));
	return (await createDockerApi(host).call('GET', '/containers/json', schema, {query: {all: 'true'}})).map(({Id}) => Id);
}

/** The attackers that run on this machine with this mark in their code. */
function attackers(mark: string): number {
	const commands = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
	return commands.filter((pid) => {
		try {
			return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === mark;
		} catch {
			return false; // it ended while we looked
		}
	}).length;
}

/** Names itself so that it is found in `/proc` from outside. */
const busy = (mark: string) =>
	python(`libc.prctl(15, b"${mark}", 0, 0, 0)\nsend({"type": "stage", "stage": "busy"})\ntime.sleep(60)`);

describe('containers and those who made them', {skip}, () => {
	test('a server that was killed leaves containers, which the next one removes, and no others', async () => {
		const other = attackedProvider('runc', {host});
		const sandbox = await other.open(spec(), {warm: true, signal});
		const [kept] = await containers();
		const child = spawn(process.execPath, [join(import.meta.dirname, '../fixtures/leave-containers.ts')], {
			env: {...process.env, DOCKER_HOST: host ?? ''},
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		await once(child.stdout, 'data');
		assert.equal((await containers()).length, 3);
		child.kill('SIGKILL');
		await once(child, 'exit');
		const next = attackedProvider('runc', {host});
		assert.equal(await said(next, 'answer("well")'), 'well');
		assert.deepEqual(await containers(), [kept]);
		await next.close();
		const {frames} = await sandbox.run(permit(), python('answer(1)'), signal);
		assert.equal(frames.at(-1)?.type, 'done');
		await other.close();
		assert.deepEqual(await containers(), []);
	});

	test('of 60 runs, well and badly ended, nothing is left', async () => {
		const provider = attackedProvider('runc', {host});
		await attack(provider, 'answer(1)');
		const descriptors = readdirSync('/proc/self/fd').length;
		const codes = ['answer(1)', 'os.abort()', 'os.write(3, b"xxxx")', 'if os.fork() == 0: time.sleep(60)\nanswer(1)'];
		for (let batch = 0; batch < 15; batch++)
			await Promise.all(codes.map((code) => attack(provider, code).catch(() => undefined)));
		assert.deepEqual(await containers(), []);
		await until(() => readdirSync('/proc/self/fd').length <= descriptors);
		await provider.close();
	});

	test('closing ends what is open, and a run that is active', async () => {
		const provider = attackedProvider('runc', {host});
		const [first] = await Promise.all([1, 2].map(() => provider.open(spec(), {warm: true, signal})));
		const failing = assert.rejects(first?.run(permit(), busy('closed'), signal) ?? Promise.resolve(), {
			code: 'runner_internal_error',
		});
		await until(() => attackers('closed') === 1);
		await provider.close();
		await failing;
		assert.deepEqual([await containers(), attackers('closed')], [[], 0]);
	});

	test('a runner that is killed from outside ends its run, and the pool heals', async () => {
		const provider = attackedProvider('runc', {host});
		const pool = createPool({provider, size: 1, perSpec: 1, concurrency: 1, queue: 5});
		await pool.warm([{spec: spec(), tenant: 'local'}]);
		const [id = ''] = await containers();
		await createDockerApi(host).call('POST', `/containers/${id}/kill`, z.unknown());
		await until(() => pool.stats().lost === 1 && pool.stats().idle === 1);
		const {isolation} = await pool.run(permit(), {spec: spec(), request: python('answer(1)')}, signal);
		assert.equal(isolation.warm, true);
		await pool.close();
		assert.deepEqual(await containers(), []);
	});
});

describe('an engine that is killed', {skip}, () => {
	test('ends the runs with a typed error and all that ran in them, and serves again when it is back', async () => {
		const provider = attackedProvider('runc', {host});
		const sandboxes = await Promise.all([1, 2].map(() => provider.open(spec({limits: {wallMs: 60_000}}), {warm: false, signal})));
		const running = sandboxes.map((sandbox) => sandbox.run(permit(), busy('orphaned'), signal));
		const failing = running.map((run) => assert.rejects(run, {code: 'sandbox_unavailable', message: /^the container engine: /}));
		await until(() => attackers('orphaned') === 2);
		script('crash');
		await Promise.all(failing);
		await until(() => attackers('orphaned') === 0);
		await Promise.all(sandboxes.map((sandbox) => assert.rejects(sandbox.ended, {code: 'sandbox_unavailable'})));
		await assert.rejects(provider.open(spec(), {warm: false, signal}), {
			code: 'sandbox_unavailable',
			message: 'the container engine: it is not running',
		});
		script('resume');
		assert.equal(await said(provider, 'answer("well")'), 'well');
		assert.deepEqual(await containers(), []);
		await provider.close();
	});

	test('and is back between two runs makes no difference to the next', async () => {
		const provider = attackedProvider('runc', {host});
		assert.equal(await said(provider, 'answer(1)'), 1);
		const waiting = await provider.open(spec(), {warm: true, signal});
		script('crash');
		script('resume');
		await assert.rejects(waiting.run(permit(), python('answer(1)'), signal), {code: /sandbox_unavailable|runner_internal_error/});
		assert.equal(await said(provider, 'answer(2)'), 2);
		await provider.close();
		assert.deepEqual(await containers(), []);
	});

	test('while the server closes does not keep it from closing', async () => {
		const provider = attackedProvider('runc', {host});
		await provider.open(spec(), {warm: true, signal});
		script('crash');
		await assert.rejects(provider.close(), {code: 'sandbox_unavailable'});
		script('resume');
	});
});
