import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {describe, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import {attack, attackerRuntime, permit, python, said, spec} from './fixtures/attack.ts';
import {descendants} from './fixtures/descendants.ts';
import {findCgroups, sweepGroups} from './process/cgroup.ts';
import {createProcessProvider} from './process/process.ts';
import {isAlive, readIdentity} from './process-identity.ts';

const found = findCgroups();
const signal = new AbortController().signal;

/** A zygote is there to stay, with its keeper and the process between them. */
const FAMILY = 3;
/** Each sandbox has the first process of its namespace and its runner. */
const EACH = 2;

function groups(owner: number): string[] {
	if ('none' in found) return [];
	return Object.values(found.parents).flatMap((parent) =>
		readdirSync(parent).filter((name) => name.startsWith(`writ-${owner}-`)),
	);
}

function footprint() {
	return {
		processes: descendants(process.pid).length,
		groups: groups(process.pid),
		descriptors: readdirSync('/proc/self/fd').length,
		// A container engine that is tested beside this mounts on the same host.
		mounts: readFileSync('/proc/self/mounts', 'utf8')
			.split('\n')
			.filter((line) => !line.includes('/writ-docker.')).length,
	};
}

/** A descriptor closes a little after its sandbox. What was still closing when it was first counted may be gone now. */
async function assertNoMore(before: ReturnType<typeof footprint>): Promise<void> {
	await until(() => footprint().descriptors <= before.descriptors);
	assert.deepEqual({...footprint(), descriptors: 0}, {...before, descriptors: 0});
}

async function until(condition: () => boolean): Promise<void> {
	for (let waited = 0; !condition(); waited += 10) {
		assert.ok(waited < 5_000, 'it did not happen within five seconds');
		await delay(10);
	}
}

describe('nothing is left', () => {
	test('of 200 runs, well and badly ended', async () => {
		const provider = createProcessProvider({runtime: attackerRuntime()});
		await attack(provider, 'answer(1)');
		const before = footprint();
		assert.equal(before.processes, FAMILY);
		const codes = ['answer(1)', 'os.abort()', 'os.write(3, b"xxxx")', 'if os.fork() == 0: time.sleep(60)\nanswer(1)'];
		for (let batch = 0; batch < 50; batch++)
			await Promise.all(codes.map((code) => attack(provider, code).catch(() => undefined)));
		await assertNoMore(before);
		await provider.close();
		assert.equal(footprint().processes, 0);
	});

	test('of a daemon that outlives its answer', async () => {
		const provider = createProcessProvider({runtime: attackerRuntime()});
		const daemon = `import signal
if os.fork() == 0:
  os.setsid()
  if os.fork() == 0:
    for s in range(1, 32): attempt(lambda: signal.signal(s, signal.SIG_IGN))
    while True: time.sleep(1)
  os._exit(0)
answer(1)`;
		assert.equal(await said(provider, daemon), 1);
		assert.deepEqual([footprint().processes, footprint().groups], [FAMILY, []]);
		await provider.close();
		assert.equal(footprint().processes, 0);
	});

	test('when the provider closes on open sandboxes', async () => {
		const provider = createProcessProvider({runtime: attackerRuntime()});
		const [busy] = await Promise.all([1, 2, 3].map(() => provider.open(spec(), {warm: true, signal})));
		const failing = assert.rejects(busy?.run(permit(), python('time.sleep(60)'), signal) ?? Promise.resolve(), {
			code: 'runner_internal_error',
		});
		await provider.close();
		await failing;
		assert.deepEqual([descendants(process.pid), groups(process.pid)], [[], []]);
	});

	test('of sandboxes that are given up at every moment of their start', async () => {
		const provider = createProcessProvider({runtime: attackerRuntime(), cgroups: 'off', zygotes: 'off'});
		await attack(provider, 'answer(1)');
		const before = footprint();
		for (let ms = 0; ms < 40; ms++) {
			const opening = provider.open(spec(), {warm: true, signal: AbortSignal.timeout(ms)});
			await opening.then((sandbox) => sandbox.dispose()).catch(() => undefined);
		}
		await assertNoMore(before);
		await provider.close();
	});

	for (const cgroups of ['auto', 'off'])
		test(`when the server is killed, control groups ${cgroups}`, async () => {
			const child = spawn(process.execPath, [join(import.meta.dirname, 'fixtures/fill-and-die.ts'), cgroups], {
				stdio: ['ignore', 'pipe', 'inherit'],
			});
			await once(child.stdout, 'data');
			const started = descendants(child.pid ?? 0).map(({pid}) => readIdentity(pid));
			const held = groups(child.pid ?? 0);
			child.kill('SIGKILL');
			await once(child, 'exit');
			assert.ok(started.length >= FAMILY + 3 * EACH, `${started.length} processes`);
			await until(() => !started.some(isAlive));
			if ('none' in found || cgroups === 'off') return;
			assert.ok(held.length > 0, 'it had groups'); // which outlive it until any server starts
			await sweepGroups(found);
			assert.deepEqual(groups(child.pid ?? 0), []);
		});
});

test('a sweep removes the groups of dead owners and of owners whose process id was reused, and no others', async () => {
	const parent = mkdtempSync(join(tmpdir(), 'writ-groups-'));
	const {pid, startedAt} = readIdentity('self');
	const kept = [`writ-${pid}-${startedAt}-1`, 'system.slice', 'writ-host'];
	for (const name of [...kept, `writ-${pid}-${startedAt - 1}-1`, 'writ-4194305-1-7']) mkdirSync(join(parent, name));
	assert.equal(await sweepGroups({version: 2, parents: {memory: parent, cpu: parent}}), 2);
	assert.deepEqual(readdirSync(parent).toSorted(), kept.toSorted());
	assert.ok(existsSync(parent));
	writeFileSync(join(parent, 'done'), '');
});
