import assert from 'node:assert/strict';
import {closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync} from 'node:fs';
import {chmod, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {describe, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import {attack, attackerRuntime, permit, python, said, spec} from '../fixtures/attack.ts';
import {type Descendant, descendants} from '../fixtures/descendants.ts';
import type {Runtime} from '../runtime.ts';
import type {SandboxProvider} from '../sandbox.ts';
import {createProcessProvider} from './process.ts';

const isRoot = process.getuid?.() === 0;
const signal = new AbortController().signal;
const options = {warm: true, signal};
const runtime = attackerRuntime();

type Family = Readonly<Record<'keeper' | 'zygote', number>> & {
	readonly children: readonly {readonly first: number; readonly runner: number}[];
};

/** The keeper starts a process that is only the zygote's parent; a child of the zygote is the first process of its namespace. */
function family(): Family {
	const all = descendants(process.pid);
	const below = (pid: number): readonly Descendant[] => all.filter(({parent}) => parent === pid);
	const keeper = all.find(({parent, command}) => parent === process.pid && command.includes('zygote-keeper.py'))?.pid ?? 0;
	const zygote = below(below(keeper)[0]?.pid ?? 0)[0]?.pid ?? 0;
	return {keeper, zygote, children: below(zygote).map(({pid}) => ({first: pid, runner: below(pid)[0]?.pid ?? 0}))};
}

/** To signal the pid 0 is to signal ourselves. */
function signalTo(pid: number, name: NodeJS.Signals): void {
	assert.ok(pid > 1, 'there is no such process');
	process.kill(pid, name);
}

async function until(condition: () => boolean): Promise<void> {
	for (let waited = 0; !condition(); waited += 10) {
		assert.ok(waited < 5_000, 'it did not happen within five seconds');
		await delay(10);
	}
}

async function using(act: (provider: SandboxProvider) => Promise<void>, of: Runtime = runtime): Promise<void> {
	const provider = createProcessProvider({runtime: of});
	try {
		await act(provider);
	} finally {
		await provider.close();
	}
}

/** A directory that any user may read. */
async function directoryNamed(name: string): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), name));
	await chmod(directory, 0o755);
	return directory;
}

/** What of `texts` stands anywhere in the memory of a process. */
function inMemory(pid: number, texts: readonly string[]): readonly string[] {
	const found = new Set<string>();
	const memory = openSync(`/proc/${pid}/mem`, 'r');
	for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
		const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
		if (from === undefined || to === undefined) continue;
		const bytes = Buffer.alloc(Number.parseInt(to, 16) - Number.parseInt(from, 16));
		readSync(memory, bytes, 0, bytes.length, Number.parseInt(from, 16));
		for (const text of texts) if (bytes.includes(text)) found.add(text);
	}
	closeSync(memory);
	return [...found].toSorted();
}

describe('a zygote', () => {
	test('has nothing of the host: no file, no network, no environment, no right that reaches beyond its children', () =>
		using(async (provider) => {
			await said(provider, 'answer(1)');
			const {zygote} = family();
			const status = readFileSync(`/proc/${zygote}/status`, 'utf8');
			const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1];
			assert.deepEqual(
				{capabilities: field('CapEff'), bounded: field('CapBnd'), privileges: field('NoNewPrivs'), filtered: field('Seccomp')},
				{capabilities: '00000000002000c0', bounded: '00000000002000c0', privileges: '1', filtered: '2'},
			);
			assert.equal(field('Uid') === '0', false, 'root lends its id to no zygote');
			const shared = readdirSync('/proc/self/ns').filter(
				(name) => readlinkSync(`/proc/self/ns/${name}`) === readlinkSync(`/proc/${zygote}/ns/${name}`),
			);
			assert.deepEqual(
				shared.filter((name) => !name.startsWith('time')),
				[],
			);
			const seen = readdirSync(`/proc/${zygote}/root`).filter((name) => !name.startsWith('lib'));
			assert.deepEqual(seen.toSorted(), ['dev', 'next', 'runtime', 'tmp', 'usr']);
			const mounts = readFileSync(`/proc/${zygote}/mountinfo`, 'utf8').trim().split('\n');
			assert.deepEqual(
				mounts.filter((line) => !/^(?:\S+ ){5}ro\b/.test(line) && !line.includes(' /dev/')),
				[],
			);
			const environment = readFileSync(`/proc/${zygote}/environ`, 'utf8').split('\0');
			assert.deepEqual(environment.filter(Boolean), ['HOME=/tmp', 'TMPDIR=/tmp', 'PATH=/usr/bin', 'LANG=C.UTF-8', 'TZ=UTC']);
			assert.equal(readdirSync(`/proc/${zygote}/net/dev_snmp6`).filter((name) => name !== 'lo').length, 0);
		}));

	test(
		'holds nothing of a run: not its code, its paths or its limits',
		{skip: !isRoot && 'only root reads the memory of another'},
		() =>
			using(async (provider) => {
				const directory = await directoryNamed('writ-canary-of-a-path-');
				const of = spec({mounts: [{source: directory, target: '/canary-of-a-target'}], limits: {wallMs: 8_765}});
				const sandbox = await provider.open(of, options);
				const running = sandbox.run(permit(), python('x = "canary-of-the-" + "code"\ntime.sleep(60)'), signal).catch(() => {});
				const canaries = ['canary-of-a-path', 'canary-of-a-target', 'canary-of-the-code'];
				const {zygote, children} = family();
				const child = children[0]?.runner ?? 0;
				await until(() => inMemory(child, canaries).includes('canary-of-the-code'));
				assert.deepEqual(inMemory(child, canaries), ['canary-of-a-target', 'canary-of-the-code'], 'it can be found where it is');
				assert.deepEqual(inMemory(zygote, canaries), []);
				await sandbox.dispose();
				await running;
				assert.deepEqual(inMemory(zygote, canaries), []);
				await rm(directory, {recursive: true});
			}),
	);

	test('has children that cannot make a user namespace, filter or not', {
		skip: process.arch !== 'x64' && 'the number is that of x86-64',
	}, async () => {
		for (const seccomp of ['auto', 'off'] as const) {
			const provider = createProcessProvider({runtime, seccomp});
			assert.equal(await said(provider, 'answer(errno_of(syscall(272, 0x10000000)))'), 1);
			await provider.close();
		}
	});

	test('gives every child random numbers of its own', () =>
		using(async (provider) => {
			const draw = () => said(provider, 'import random\nanswer(str(random.random()))');
			assert.notEqual(await draw(), await draw());
		}));

	test('is shared by runs with different mounts and limits, each with its own alone', () =>
		using(async (provider) => {
			const directories = await Promise.all(['a', 'b'].map(() => directoryNamed('writ-mount-')));
			const answers = await Promise.all(
				directories.map((source, index) =>
					said(provider, 'answer([sorted(os.listdir("/")), resource.getrlimit(resource.RLIMIT_NOFILE)[0]])', {
						...spec({mounts: [{source, target: `/data${index}`}], limits: {openFiles: 50 + index}}),
					}),
				),
			);
			const runtimeOwn = ((await said(provider, 'answer(sorted(os.listdir("/")))')) as string[]).filter(
				(name) => name !== 'data',
			);
			assert.deepEqual(
				answers,
				[0, 1].map((index) => [[...runtimeOwn, `data${index}`].toSorted(), 50 + index]),
			);
			await Promise.all(directories.map((each) => rm(each, {recursive: true})));
		}));
});

describe('killed', () => {
	for (const victim of ['keeper', 'zygote'] as const) {
		test(`the ${victim} while a run is busy: the run fails by its code, and the next one is answered`, () =>
			using(async (provider) => {
				const sandbox = await provider.open(spec(), options);
				const failing = assert.rejects(sandbox.run(permit(), python('time.sleep(60)'), signal), {code: 'runner_internal_error'});
				const before = family();
				signalTo(before[victim], 'SIGKILL');
				await failing;
				await sandbox.ended;
				assert.equal(await said(provider, 'answer("well")'), 'well');
				assert.notEqual(family()[victim], before[victim]);
			}));

		test(`the ${victim} while a sandbox waits: it ends, and the next one is answered`, () =>
			using(async (provider) => {
				const sandbox = await provider.open(spec(), options);
				signalTo(family()[victim], 'SIGKILL');
				await sandbox.ended;
				await assert.rejects(sandbox.run(permit(), python('answer(1)'), signal), {code: 'runner_internal_error'});
				assert.equal(await said(provider, 'answer("well")'), 'well');
			}));

		test(`the ${victim} while sandboxes start: each opens or says that it could not`, () =>
			using(async (provider) => {
				await said(provider, 'answer(1)');
				const opening = Array.from({length: 8}, () => provider.open(spec(), options));
				await delay(3);
				signalTo(family()[victim], 'SIGKILL');
				const codes = (await Promise.allSettled(opening)).map((each) => (each.status === 'rejected' ? each.reason.code : 'open'));
				assert.deepEqual(
					codes.filter((code) => code !== 'open' && code !== 'sandbox_unavailable'),
					[],
				);
				assert.equal(await said(provider, 'answer("well")'), 'well');
			}));
	}

	for (const victim of ['first', 'runner'] as const)
		test(`the ${victim === 'first' ? 'first process of a sandbox' : 'runner'}: its run fails, and its siblings go on`, () =>
			using(async (provider) => {
				const sandbox = await provider.open(spec(), options);
				const failing = assert.rejects(sandbox.run(permit(), python('time.sleep(60)'), signal), {
					code: 'runner_internal_error',
					message: 'the runner was killed by SIGKILL before it answered',
				});
				const [child] = family().children;
				const sibling = await provider.open(spec(), options);
				signalTo(child?.[victim] ?? 0, 'SIGKILL');
				await failing;
				await sandbox.ended;
				const {frames} = await sibling.run(permit(), python('answer("well")'), signal);
				assert.equal(frames[0]?.type, 'stage');
			}));

	test('a stopped zygote keeps nobody waiting for ever', () =>
		using(async (provider) => {
			await said(provider, 'answer(1)');
			const {zygote} = family();
			signalTo(zygote, 'SIGSTOP');
			await assert.rejects(provider.open(spec(), {warm: false, signal: AbortSignal.timeout(300)}), {code: 'cancelled'});
			signalTo(zygote, 'SIGCONT');
			assert.equal(await said(provider, 'answer("well")'), 'well');
		}));
});

test('what cannot have a zygote is started in bubblewrap, and the facts say so', () => {
	const broken: Runtime = {
		...runtime,
		async program(of) {
			const program = await runtime.program(of);
			return {...program, zygote: {interpreter: ['/nonexistent/python3'], script: '/runtime/probe.py'}};
		},
	};
	return using(async (provider) => {
		const {weaknesses, availability} = await provider.facts({thorough: true});
		assert.deepEqual(availability, {kind: 'available'});
		assert.match(weaknesses.at(-1) ?? '', /^probe\.py is started anew for each run, which takes longer and isolates as well: /);
		const {isolation} = await attack(provider, 'answer(1)');
		assert.deepEqual([isolation.seccomp, isolation.namespaces.length], [true, 7]);
	}, broken);
});
