import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, test} from 'node:test';
import {attack, attackerRuntime, MIB, permit, python, said, spec} from '../fixtures/attack.ts';
import {testProvider} from '../fixtures/conformance.ts';
import {readIdentity} from '../process-identity.ts';
import type {SandboxProvider} from '../sandbox.ts';
import {callMsb, createArguments, findMsb, kvmTrouble, type Msb} from './cli.ts';
import {createMicrosandboxProvider, type MicrosandboxProviderOptions} from './microsandbox.ts';

const DOUBLE = join(import.meta.dirname, '../doubles/msb.py');
const IMAGE = 'writ-runner:test';
const program = attackerRuntime().program;
const signal = new AbortController().signal;
const skip = !existsSync('/usr/bin/bwrap') && 'bubblewrap is not installed, which the double of msb runs its guests with';

const held: {state: string; provider: SandboxProvider | undefined} = {state: '', provider: undefined};
beforeEach(() => {
	held.state = mkdtempSync(join(tmpdir(), 'writ-msb-'));
	mkdirSync(join(held.state, 'images', IMAGE), {recursive: true});
});
afterEach(async () => {
	await held.provider?.close();
	rmSync(held.state, {recursive: true});
});

function provider(options: Partial<MicrosandboxProviderOptions> = {}): SandboxProvider {
	const msb: Msb = ['/usr/bin/python3', '-I', '-S', DOUBLE, held.state];
	held.provider = createMicrosandboxProvider({msb, image: () => IMAGE, program, runs: ['python'], ...options});
	return held.provider;
}

type Call = {readonly command: string; readonly args: readonly string[]; readonly environment: Readonly<Record<string, string>>};

function calls(): Call[] {
	return readFileSync(join(held.state, 'calls'), 'utf8')
		.trim()
		.split('\n')
		.map((line) => JSON.parse(line));
}

const guests = () => readdirSync(join(held.state, 'guests'));

// The guests of the double are local processes, so attacks on its isolation would prove nothing: only what the provider itself holds is
// tested here. No guest of the real msb has booted yet where this was written.
describe('the microsandbox provider, on a double of msb', {skip}, () => testProvider(() => provider(), {isDouble: true}));

describe('microsandbox', {skip}, () => {
	test('is asked for a guest without a network, with its mounts read-only, and for one program in it', async () => {
		const [data, output] = [join(held.state, 'data'), join(held.state, 'out')];
		mkdirSync(data);
		mkdirSync(output);
		writeFileSync(join(held.state, 'one.csv'), 'a,b');
		const mounts = [
			{source: data, target: '/data'},
			{source: join(held.state, 'one.csv'), target: '/in/one.csv'},
		];
		assert.equal(
			await said(provider({program: async () => ({...(await program(spec())), mounts: []})}), 'answer(1)', {
				...spec({mounts, limits: {cpus: 1.5}}),
				output,
			}).catch(() => 'no python there'),
			'no python there',
		);
		const [, create, exec, remove] = calls();
		const name = create?.args[2] ?? '';
		assert.match(name, /^writ-\d+-\d+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
		assert.deepEqual(create?.args, [
			...[
				'--quiet',
				'--name',
				name,
				'--cpus',
				'2',
				'--memory',
				'264M',
				'--no-net',
				'--pull',
				'never',
				'--security',
				'restricted',
			],
			...['--hostname', 'sandbox', '--user', '65534:65534', '--max-duration', '130s', '--tmpfs', '/tmp:8M'],
			...['--mount-dir', `${data}:/data:ro`, '--mount-file', `${held.state}/one.csv:/in/one.csv:ro`],
			...['--mount-dir', `${output}:/out:uid=65534,gid=65534,quota=8M`, '--', IMAGE],
		]);
		assert.deepEqual(exec?.args, [
			...['--quiet', '--stream', '--user', '65534:65534', '--workdir', '/tmp', '--rlimit', 'nofile=64', '--rlimit', 'nproc=33'],
			...['--rlimit', `fsize=${8 * MIB}`, '--rlimit', `data=${128 * MIB}`, '--rlimit', 'core=0', name, '--'],
			...['/bin/sh', '-c', 'exec 3>&1 1>&2; exec env -i "$@"', 'writ'],
			...['HOME=/tmp', 'TMPDIR=/tmp', 'PATH=/usr/bin', 'LANG=C.UTF-8', 'TZ=UTC'],
			...['/usr/bin/python3', '-I', '-S', '-B', '/runtime/probe.py', 'attacker'],
		]);
		assert.deepEqual([remove?.command, remove?.args], ['remove', ['--force', '--quiet', name]]);
	});

	test('gets nothing of our environment, in which a key could send a run to a hosted service', async () => {
		process.env.MSB_API_KEY = 'a key of the hosted service';
		assert.deepEqual(await said(provider(), 'answer(sorted(os.environ))'), ['HOME', 'LANG', 'PATH', 'TMPDIR', 'TZ']);
		delete process.env.MSB_API_KEY;
		for (const {environment} of calls())
			assert.deepEqual([environment.MSB_API_KEY, environment.MSB_BACKEND], [undefined, 'local']);
		assert.equal(JSON.stringify(calls().map(({args}) => args)).includes('sorted(os.environ)'), false);
	});

	test('keeps no guest after its run, nor after the provider has closed', async () => {
		const one = provider();
		await attack(one, 'answer(1)');
		assert.deepEqual(guests(), []);
		const waiting = await one.open(spec(), {warm: true, signal});
		assert.ok(guests().length > 0);
		await one.close();
		await waiting.ended;
		assert.deepEqual(guests(), []);
	});

	test('loses the guests of servers that are gone, and no others', async () => {
		const {pid, startedAt} = readIdentity('self');
		const id = '00000000-0000-4000-8000-000000000000';
		const own = `writ-${pid}-${startedAt}-${id}`;
		mkdirSync(join(held.state, 'guests'), {recursive: true});
		for (const name of [`writ-${pid}-${startedAt - 1}-${id}`, own, 'devbox'])
			writeFileSync(join(held.state, 'guests', `${name}.json`), '{}');
		await said(provider(), 'answer(1)');
		assert.deepEqual(guests(), ['devbox.json', `${own}.json`]);
	});

	test('loses a guest that waited too long', async () => {
		const sandbox = await provider({warmLimitMs: 50}).open(spec(), {warm: true, signal});
		await sandbox.ended;
		assert.deepEqual(guests(), []);
	});

	test('that loses a guest during a run says how it ended', async () => {
		const sandbox = await provider().open(spec(), {warm: false, signal});
		const running = sandbox.run(permit(), python('time.sleep(60)'), signal);
		running.catch(() => {});
		const [name = ''] = guests().filter((each) => each.endsWith('.json'));
		await callMsb(['/usr/bin/python3', '-I', '-S', DOUBLE, held.state], ['remove', '--force', name.replace('.json', '')]);
		await assert.rejects(running, {
			code: 'runner_internal_error',
			message: 'the runner was killed by SIGKILL before it answered',
		});
		await assert.rejects(sandbox.dispose(), /sandbox not found/);
	});

	for (const [title, options, expected] of [
		[
			'an image that is not here',
			{image: () => 'missing'},
			{message: /image not cached/, hint: 'run `docker save IMAGE | msb load`: writ never lets microsandbox pull an image'},
		],
		['no msb', {msb: ['/nonexistent']}, {message: '`msb` is not installed', hint: /^run `npm install -g microsandbox`/}],
		[
			'a path with a colon',
			{program: () => ({command: ['x'], environment: {}, reservedBytes: 0, mounts: [{source: '/usr/bin', target: '/a:b'}]})},
			{message: /takes no path with a colon/},
		],
		['a way out', {network: true}, {message: /a guest has no way out to a network/}],
	] as const)
		test(`with ${title} is unavailable`, async () => {
			const {network, ...given} = {network: false, ...options};
			const of = network ? {...spec(), network: {allow: [{host: 'example.test', ports: [443]}], maxBytes: 1}} : spec();
			await assert.rejects(said(provider(given as object), 'answer(1)', of), {code: 'sandbox_unavailable', ...expected});
		});

	test('says what `msb doctor` says', async () => {
		assert.deepEqual((await provider().facts()).availability, {kind: 'available'});
		writeFileSync(
			join(held.state, 'doctor'),
			'CPU virtualization is not available\n  → no vmx (Intel) or svm (AMD) flag in /proc/cpuinfo\n  → enable virtualization',
		);
		const {availability, versions} = await provider().facts();
		assert.deepEqual(versions, {microsandbox: '0.6.18'});
		assert.deepEqual(availability, {
			kind: 'unavailable',
			reason: 'msb doctor: CPU virtualization is not available',
			hint: ['no vmx (Intel) or svm (AMD) flag in /proc/cpuinfo; enable virtualization', await kvmTrouble()]
				.filter(Boolean)
				.join('; '),
		});
	});
});

test('a machine that cannot boot guests is told from a user who may not', {
	skip: process.platform !== 'linux' && 'KVM is of Linux',
}, async () => {
	assert.match((await kvmTrouble('/nonexistent')) ?? '', /^there is no \/nonexistent: /);
	const locked = join(held.state, 'kvm');
	writeFileSync(locked, '', {mode: 0o400});
	const allowed = process.getuid?.() === 0;
	assert.match((await kvmTrouble(locked)) ?? 'root may', allowed ? /^root may$/ : /^this user may not use /);
});

/** Why the real one cannot be tried, if so. */
function whyNotReal(of: 'arguments' | 'boot'): string | false {
	const [file] = findMsb(process.env.MSB_CLI_PATH);
	try {
		execFileSync(file, ['--version'], {stdio: 'pipe'});
		if (of === 'boot') execFileSync(file, ['doctor'], {stdio: 'pipe'});
		return false;
	} catch (error) {
		return `msb is not to be had here: ${(error as {stderr?: Buffer}).stderr?.toString().trim() || String(error)}`;
	}
}

describe('the real msb', () => {
	const root = () => {
		const image = join(held.state, 'root');
		for (const directory of ['usr/lib', 'usr/lib64', 'usr/bin', 'runtime', 'tmp', 'proc', 'sys', 'dev', 'etc', 'data', 'out'])
			mkdirSync(join(image, directory), {recursive: true});
		for (const name of ['bin', 'lib', 'lib64']) execFileSync('ln', ['-s', `usr/${name}`, join(image, name)]);
		return image;
	};

	test('understands our arguments as they are meant', {skip: whyNotReal('arguments')}, async () => {
		const msb = findMsb(process.env.MSB_CLI_PATH);
		const output = join(held.state, 'out');
		mkdirSync(output);
		const of = {...spec({mounts: [{source: held.state, target: '/data'}]}), output};
		const name = `writ-test-${process.pid}`;
		const args = await createArguments({name, image: root(), spec: of, program: await program(of), lifetimeSeconds: 70});
		try {
			await callMsb(msb, args).catch(() => {}); // where no guest boots, it is known all the same
			const {config} = JSON.parse(await callMsb(msb, ['inspect', '--format', 'json', name]));
			const {policy} = config.network;
			assert.deepEqual([policy.default_egress, policy.default_ingress, policy.rules], ['deny', 'deny', []]);
			assert.deepEqual(
				[config.pull_policy, config.security_profile, config.runtime.user, config.lifecycle.max_duration_secs],
				['Never', 'restricted', '65534:65534', 70],
			);
			type Mount = {guest: string; size_mib?: number; quota_mib?: number; options: {readonly: boolean}};
			const mounts = Object.fromEntries(
				config.mounts.map(({guest, options, size_mib, quota_mib}: Mount) => [guest, [options.readonly, size_mib ?? quota_mib]]),
			);
			assert.deepEqual(
				[mounts['/data'], mounts['/out'], mounts['/tmp']],
				[
					[true, null],
					[false, 8],
					[false, 8],
				],
			);
		} finally {
			await callMsb(msb, ['remove', '--force', '--quiet', name]).catch(() => {});
		}
	});

	describe('with guests that boot', {skip: whyNotReal('boot')}, () =>
		testProvider(() => createMicrosandboxProvider({cliPath: process.env.MSB_CLI_PATH, image: root, program, runs: ['python']})),
	);
});
