import assert from 'node:assert/strict';
import {chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {describe, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import type {AnswerCall} from '#kernel/tool.ts';
import {attackerRuntime, MIB, permit, python, said, spec} from '../fixtures/attack.ts';
import {testProvider} from '../fixtures/conformance.ts';
import {descendants} from '../fixtures/descendants.ts';
import {testAsOrdinaryUser} from '../fixtures/ordinary-user.ts';
import {findCgroups} from './cgroup.ts';
import {findPrograms} from './launch.ts';
import {createProcessProvider} from './process.ts';

const isRoot = process.getuid?.() === 0;
const runtime = attackerRuntime();

describe('the process provider', () => testProvider(() => createProcessProvider({runtime})));

describe('the process provider without control groups', () =>
	testProvider(() => createProcessProvider({runtime, cgroups: 'off'})));

testAsOrdinaryUser(import.meta.filename);

test('processes together may not take the room of an empty scratch', {
	skip: 'none' in findCgroups() && 'this user has no control groups',
}, async () => {
	const provider = createProcessProvider({runtime});
	const of = spec({limits: {memoryBytes: 64 * MIB, scratchBytes: 512 * MIB}});
	const code = 'os.fork()\nb = bytearray(48 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1\ntime.sleep(60)';
	await assert.rejects(said(provider, code, of), {
		code: 'runner_resource_exceeded',
		details: {limit: 'memoryBytes', value: 64 * MIB},
	});
	const scratch =
		'open("/tmp/x", "wb").write(bytes(32 << 20))\nopen("/tmp/y", "wb").write(bytes(32 << 20))\nopen("/tmp/z", "wb").write(bytes(32 << 20))\nanswer(1)';
	assert.equal(await said(provider, scratch, of), 1);
	await provider.close();
});

test('its facts say what it enforces, what it runs and what is weaker than it could be', async () => {
	const {availability, limits, seccomp, weaknesses, versions} = await createProcessProvider({runtime, cgroups: 'off'}).facts();
	assert.deepEqual(availability, {kind: 'available'});
	assert.deepEqual(limits, {
		wallMs: 'kill',
		memoryBytes: 'rlimit',
		cpus: 'rlimit',
		processes: 'rlimit',
		openFiles: 'rlimit',
		fileBytes: 'rlimit',
		scratchBytes: 'tmpfs',
		scratchFiles: isRoot ? 'tmpfs' : 'none',
		outBytes: 'kill',
		outputBytes: 'kill',
	});
	assert.ok(seccomp && /^\d/.test(versions.bubblewrap ?? ''));
	assert.match(weaknesses[0] ?? '', /^control groups are switched off: /);
});

test('a missing program is unavailable, with the command that installs it', () => {
	assert.throws(() => findPrograms(['/nonexistent']), {
		code: 'sandbox_unavailable',
		message: 'the program `bwrap` is not installed',
		hint: 'run `sudo apt-get install -y bubblewrap`',
	});
});

test('a mount that does not exist is unavailable', async () => {
	const provider = createProcessProvider({runtime});
	await assert.rejects(said(provider, 'answer(1)', spec({mounts: [{source: '/nonexistent', target: '/data'}]})), {
		code: 'sandbox_unavailable',
		message: '/nonexistent cannot be mounted: it does not exist',
	});
	await provider.close();
});

test('a mount below a private directory is reached without opening the directory', {
	skip: !isRoot && 'only root gives up its id',
}, async () => {
	const directory = mkdtempSync(join(tmpdir(), 'writ-private-'));
	writeFileSync(join(directory, 'public'), 'public');
	writeFileSync(join(directory, 'private'), 'private', {mode: 0o600});
	chmodSync(directory, 0o700);
	const provider = createProcessProvider({runtime});
	const mount = (name: string) => spec({mounts: [{source: join(directory, name), target: '/data'}]});
	assert.equal(await said(provider, 'answer(open("/data").read())', mount('public')), 'public');
	await assert.rejects(said(provider, 'answer(1)', mount('private')), {
		code: 'sandbox_unavailable',
		hint: `run \`chmod o+rX ${directory}/private\``,
	});
	await provider.close();
	rmSync(directory, {recursive: true});
});

test('root lends its id to no sandbox, and no two sandboxes the same one', {
	skip: !isRoot && 'only root gives up its id',
}, async () => {
	const provider = createProcessProvider({runtime});
	const directory = mkdtempSync(join(tmpdir(), 'writ-ids-'));
	chmodSync(directory, 0o755);
	writeFileSync(join(directory, 'secret'), 'canary', {mode: 0o600});
	const of = spec({mounts: [{source: directory, target: '/data'}]});
	assert.equal(await said(provider, 'answer(attempt(lambda: open("/data/secret").read()))', of), 'PermissionError 13');
	assert.equal(await said(provider, 'answer([os.getuid(), os.stat("/data/secret").st_uid])', of).then(String), '65534,65534');
	await provider.close();
	rmSync(directory, {recursive: true});
});

describe('the output directory', () => {
	for (const [title, code] of Object.entries({
		'many files, each within its limit': 'n = 0\nwhile True:\n  n += 1\n  open(f"/out/{n}", "wb").write(bytes(1 << 20))',
		'small files without end': 'n = 0\nwhile True:\n  n += 1\n  open(f"/out/{n}", "wb").write(b"x")',
		'files in directories that it closes behind it':
			'n = 0\nwhile True:\n  n += 1\n  os.mkdir(f"/out/{n}")\n  open(f"/out/{n}/x", "wb").write(bytes(1 << 20))\n  os.chmod(f"/out/{n}", 0)',
		'files that have no name any more':
			'keep = []\nwhile True:\n  keep.append(open("/out/x", "wb", 0))\n  os.unlink("/out/x")\n  keep[-1].write(bytes(1 << 20))\n  time.sleep(0.02)',
	}))
		for (const zygotes of ['auto', 'off'] as const)
			test(`holds no more than its largest file may have, zygotes ${zygotes}: ${title}`, async () => {
				const output = mkdtempSync(join(tmpdir(), 'writ-out-'));
				const provider = createProcessProvider({runtime, zygotes});
				await assert.rejects(said(provider, code, {...spec({limits: {fileBytes: 4 * MIB}}), output}), {
					code: 'runner_resource_exceeded',
					details: {limit: 'fileBytes', value: 4 * MIB},
				});
				await provider.close();
				rmSync(output, {recursive: true});
			});
});

const SHARED = `
import mmap
shared = mmap.mmap(-1, 1 << 29)
for i in range(0, 1 << 29, 4096): shared[i] = 1
time.sleep(2)
answer(1)`;

for (const zygotes of ['auto', 'off'] as const) {
	test(`without control groups what processes share counts as memory too, zygotes ${zygotes}`, async () => {
		const provider = createProcessProvider({runtime, zygotes, cgroups: 'off'});
		await assert.rejects(said(provider, SHARED), {details: {limit: 'memoryBytes', value: 128 * MIB}});
		await provider.close();
	});

	test(`without control groups nobody computes for free while a call waits, zygotes ${zygotes}`, async () => {
		const provider = createProcessProvider({runtime, zygotes, cgroups: 'off'});
		const signal = new AbortController().signal;
		const sandbox = await provider.open(spec({limits: {wallMs: 500}}), {warm: false, signal});
		const waiting: AnswerCall = async ({id}, clock) => {
			clock.pause();
			await delay(6_000, undefined, {ref: false});
			return {type: 'reply', id, output: null};
		};
		const running = sandbox.run(permit(), python(COMPUTES), signal, waiting);
		await assert.rejects(running, {details: {limit: 'cpus', value: 1}});
		await sandbox.dispose();
		await provider.close();
	});
}

/** Each process stays below what one may use. */
const COMPUTES = `
send({"type": "call", "id": 1, "tool": "x", "input": {}})
for n in range(20):
  if os.fork() == 0:
    while time.process_time() < 0.3: pass
    os._exit(0)
  os.wait()
time.sleep(6)`;

for (const zygotes of ['auto', 'off'] as const)
	test(`empty files without end fill the scratch too, zygotes ${zygotes}`, {
		skip: zygotes === 'off' && !isRoot && 'only root can limit their number for bubblewrap',
	}, async () => {
		const provider = createProcessProvider({runtime, zygotes});
		const code = 'n = 0\nwhile True:\n  n += 1\n  os.close(os.open(f"/tmp/{n}", os.O_CREAT))';
		await assert.rejects(said(provider, code), {
			code: 'runner_resource_exceeded',
			details: {limit: 'scratchBytes', value: 8 * MIB},
		});
		await provider.close();
	});

for (const zygotes of ['auto', 'off'] as const)
	test(`when memory runs out on the host a run is what has to go, zygotes ${zygotes}`, async () => {
		const provider = createProcessProvider({runtime, zygotes});
		const sandbox = await provider.open(spec(), {warm: true, signal: new AbortController().signal});
		const runner = descendants(process.pid)
			.filter(({parent}, _, all) => all.some(({pid}) => pid === parent))
			.at(-1);
		assert.equal(readFileSync(`/proc/${runner?.pid}/oom_score_adj`, 'utf8'), '1000\n');
		assert.ok(Number(readFileSync('/proc/self/oom_score_adj', 'utf8')) < 1_000);
		await sandbox.dispose();
		await provider.close();
	});
