import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {describe, test} from 'node:test';
import {findCgroups} from './cgroup.ts';
import {attackerRuntime, MIB, said, spec} from './fixtures/attack.ts';
import {testProvider} from './fixtures/conformance.ts';
import {findPrograms} from './launch.ts';
import {createProcessProvider} from './process.ts';

const isRoot = process.getuid?.() === 0;
const runtime = attackerRuntime();

describe('the process provider', () => testProvider(() => createProcessProvider({runtime})));

describe('the process provider without control groups', () =>
	testProvider(() => createProcessProvider({runtime, cgroups: 'off'})));

test('the whole conformance holds for an ordinary user too', {skip: !isRoot && 'it already runs as one'}, () => {
	const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--', process.execPath, '--test', '--test-reporter=tap'];
	const {stdout} = spawnSync('setpriv', [...nobody, import.meta.filename], {encoding: 'utf8', env: {PATH: process.env.PATH}});
	const [, passed] = /^# pass (\d+)$/m.exec(stdout) ?? [];
	assert.ok(
		/^# fail 0$/m.test(stdout) && Number(passed) > 100,
		stdout
			.split('\n')
			.filter((line) => /not ok|^# /.test(line))
			.join('\n'),
	);
});

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
