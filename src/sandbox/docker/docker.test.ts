import assert from 'node:assert/strict';
import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, describe, test} from 'node:test';
import {z} from 'zod';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {createEgress} from '../egress/egress.ts';
import {startInternet} from '../egress/fixtures/internet.ts';
import {attack, limits, MIB, permit, said, spec} from '../fixtures/attack.ts';
import {testProvider} from '../fixtures/conformance.ts';
import {api, attackedProvider, realProvider, whyNot} from '../fixtures/engine.ts';

const signal = new AbortController().signal;

/** A container has a `/proc`, a `/dev` and an `/etc/hosts`, all of them its own: the tests below look into each. */
const SHARED = {
	'looks for the directories of the host': true,
	'climbs above the root': true,
	'writes to the devices directory': 'PermissionError 13',
	'opens devices of the host': true,
	'reads the environment of its parents': true,
	'lists the processes of the host': true,
	'reads the mounts of the host': true,
	'passes descriptors to the host': 'OSError 88',
};

/** gVisor asks who owns a file before it asks whether the file system is read-only, and has a `/sys` of its own. */
const GVISOR = {
	'overwrites a dataset': 'PermissionError 13',
	'adds a file beside a dataset': 'PermissionError 13',
	'deletes a dataset': 'PermissionError 13',
	'changes the mode of a dataset': 'PermissionError 1',
	'writes to the root directory': 'PermissionError 13',
	'overwrites the runner': 'PermissionError 13',
	'writes to the kernel settings': 'PermissionError 13',
	'reads control groups': true,
};

const INSIDE = {runc: SHARED, runsc: {...SHARED, ...GVISOR}};

for (const runtime of ['runc', 'runsc'] as const) {
	const skip = await whyNot(runtime);
	describe(`the docker provider with ${runtime}`, {skip}, () => {
		const provider = attackedProvider(runtime);
		after(() => provider.close());

		testProvider(() => ({...provider, close: async () => {}}), {inside: INSIDE[runtime]});

		test('code inside sees no processes, directories and names but its own', async () => {
			const look = `answer([
  [p for p in os.listdir("/proc") if p.isdigit()],
  [d for d in ["/root", "/home", "/var", "/run", "/work", "/opt", "/mnt", "/etc/ssl", "/lib/modules"] if os.path.exists(d)],
  sorted(os.listdir("/etc")) == ["hostname", "hosts", "mtab", "resolv.conf"],
  sorted(line.split("=")[0] for line in open("/proc/1/environ").read().split("\\0") if line),
  open("/etc/hostname").read().strip()])`;
			const names = ['HOME', 'HOSTNAME', 'LANG', 'PATH', 'TMPDIR', 'TZ'];
			const [processes, directories, files, variables, hostname] = (await said(provider, look)) as unknown[];
			assert.deepEqual(
				{processes, directories, files, hostname},
				{processes: ['1'], directories: [], files: true, hostname: 'sandbox'},
			);
			assert.deepEqual(
				(variables as string[]).filter((name) => name !== 'PWD'),
				names,
			);
		});

		test('no device inside leads anywhere', async () => {
			const open = (path: string) => `attempt(lambda: os.open("${path}", os.O_RDWR))`;
			const devices = ['/dev/mem', '/dev/kvm', '/dev/vda', '/dev/sda', '/dev/tty'];
			const outcome = (await said(provider, `answer([${devices.map(open).join(', ')}])`)) as string[];
			assert.ok(
				outcome.every((each) => /Error (?:1|2|6|13)$/.test(String(each))),
				String(outcome),
			);
		});

		test('namespaces cannot be made by unshare and clone', async () => {
			const calls = 'answer([errno_of(syscall(272, 0x10000000)), errno_of(syscall(56, 0x10000011, 0, 0, 0, 0))])';
			assert.deepEqual(await said(provider, calls), [1, 1]);
		});

		test('a dataset that anybody may write is read-only all the same', async () => {
			const directory = mkdtempSync(join(tmpdir(), 'writ-open-'));
			writeFileSync(join(directory, 'a.csv'), 'a\n1\n');
			chmodSync(directory, 0o777);
			chmodSync(join(directory, 'a.csv'), 0o666);
			const of = spec({mounts: [{source: directory, target: '/data'}]});
			const write = (path: string) => `attempt(lambda: open("/data/${path}", "w").write("x"))`;
			assert.deepEqual(await said(provider, `answer([${write('a.csv')}, ${write('b.csv')}])`, of), ['OSError 30', 'OSError 30']);
			rmSync(directory, {recursive: true});
		});

		test('the way out leads to what is allowed, where there is one', async (t) => {
			const net = await startInternet();
			t.after(() => net.close());
			const port = await net.https();
			const directory = mkdtempSync(join(tmpdir(), 'egress-'));
			chmodSync(directory, 0o755);
			t.after(() => rmSync(directory, {recursive: true}));
			const egress = createEgress({
				...{secrets: () => undefined, directory, resolvers: [net.resolver], trust: [net.authority.certificate]},
				exceptions: [{host: 'allowed.test', cidr: '127.0.0.0/8'}],
			});
			const open = attackedProvider(runtime, {egress});
			t.after(() => open.close());
			const network = {allow: [{host: 'allowed.test', ports: [port]}], maxBytes: MIB};
			const code = `import socket, urllib.request
def fetch(url): return json.loads(urllib.request.urlopen(url, timeout=10).read())["url"]
def dial(kind, where, protocol=0): socket.socket(socket.AF_INET, kind, protocol).connect(where)
answer([fetch("https://allowed.test:${port}/a"), attempt(lambda: fetch("https://evil.test/")),
  attempt(lambda: dial(socket.SOCK_STREAM, ("127.0.0.1", ${port}))), attempt(lambda: dial(socket.SOCK_STREAM, ("93.184.216.34", 443))),
  attempt(lambda: dial(socket.SOCK_DGRAM, ("93.184.216.34", 53))), attempt(lambda: dial(socket.SOCK_RAW, ("93.184.216.34", 0), 1))])`;
			const of = spec({network, limits: {memoryBytes: 512 * MIB, processes: 64, wallMs: 20_000}});
			if (runtime === 'runsc') {
				const refused = {code: 'sandbox_unavailable', message: /no way out to a network can be opened/};
				await assert.rejects(said(open, code, of), refused);
				return;
			}
			const expected = [
				'/a',
				'URLError None',
				'ConnectionRefusedError 111',
				'OSError 101',
				'PermissionError 1',
				'PermissionError 1',
			];
			assert.deepEqual(await said(open, code, of), expected);
		});

		test('programs cannot be run from scratch', async () => {
			const code =
				'open("/tmp/x", "w").write("#!/usr/bin/sh\\n")\nos.chmod("/tmp/x", 0o755)\nanswer(attempt(lambda: os.execv("/tmp/x", ["x"])))';
			assert.equal(await said(provider, code), 'PermissionError 13');
		});

		test('files without content reach a limit too', {skip: runtime === 'runsc' && 'gVisor counts them as memory'}, async () => {
			const code = 'n = 0\nwhile True:\n  n += 1\n  os.close(os.open(f"/tmp/{n}", os.O_CREAT))';
			const of = spec({limits: {scratchBytes: MIB, wallMs: 20_000}});
			await assert.rejects(attack(provider, code, {of}), {
				code: 'runner_resource_exceeded',
				details: {limit: 'scratchBytes', value: MIB},
			});
		});

		test('all files in /out together hold no more than the largest of them may', async (t) => {
			const output = mkdtempSync(join(tmpdir(), 'writ-out-'));
			t.after(() => rmSync(output, {recursive: true}));
			const code = 'n = 0\nwhile True:\n  n += 1\n  open(f"/out/{n}", "wb").write(bytes(1 << 20))';
			await assert.rejects(attack(provider, code, {of: {...spec({limits: {fileBytes: 4 * MIB}}), output}}), {
				code: 'runner_resource_exceeded',
				details: {limit: 'fileBytes', value: 4 * MIB},
			});
		});

		test('a child that is killed for want of memory is why the run failed', async () => {
			const child = 'b = bytearray(1 << 30)\n  for i in range(0, len(b), 4096): b[i] = 1';
			await assert.rejects(attack(provider, `if os.fork() == 0:\n  ${child}\nos.wait()\nraise OSError("it is gone")`), {
				code: 'runner_resource_exceeded',
				details: {limit: 'memoryBytes', value: limits.memoryBytes},
			});
		});

		test('a mount that does not exist is unavailable', async () => {
			const of = spec({mounts: [{source: '/nonexistent', target: '/data'}]});
			await assert.rejects(said(provider, 'answer(1)', of), {
				code: 'sandbox_unavailable',
				message: '/nonexistent cannot be mounted: it does not exist',
			});
		});

		test('no container is left', async () => {
			await provider.close();
			const query = {all: 'true', filters: JSON.stringify({label: ['dev.writ.owner']})};
			const mine = z.array(z.looseObject({Labels: z.record(z.string(), z.string())}));
			const found = await api.call('GET', '/containers/json', mine, {query});
			assert.deepEqual(
				found.filter(({Labels}) => Labels['dev.writ.owner']?.startsWith(`${process.pid}-`)),
				[],
			);
		});
	});

	describe(`the runners in the image, with ${runtime}`, {skip}, () => {
		const provider = realProvider(runtime);
		after(() => provider.close());
		const room = {memoryBytes: 512 * MIB, processes: 64, openFiles: 256, scratchBytes: 64 * MIB, outputBytes: 16 * MIB, cpus: 2};
		const answer = async (runner: SandboxSpec['runner'], request: RunnerRequest, more: Partial<SandboxSpec> = {}) => {
			const sandbox = await provider.open(spec({...more, runner, limits: room}), {warm: false, signal});
			return (await sandbox.run(permit(), request, signal)).frames;
		};

		test('SQL is computed by DuckDB', async () => {
			const frames = await answer('sql', {kind: 'sql', views: [], sql: 'SELECT 6 * 7 AS n', maxRows: 1, maxBytes: 1_000});
			assert.deepEqual(frames[1], {type: 'rows', rows: [[42]]});
		});

		test('Python has pandas', async () => {
			const code = 'import pandas as pd\nresult = int(pd.DataFrame({"a": [20, 22]}).a.sum())';
			const frames = await answer('python', {kind: 'python', views: [], code, maxRows: 1, maxBytes: 1_000});
			assert.deepEqual(
				frames.find((frame) => frame.type === 'rows'),
				{type: 'rows', rows: [[42]]},
			);
		});

		test('a shell script has its usual programs', async () => {
			const script = 'echo "{\\"a\\": \\"b\\"}" | jq -r .a | tr a-z A-Z; which writ; exit 3';
			const frames = await answer('shell', {kind: 'shell', script, tools: false, maxBytes: 1_000});
			assert.partialDeepStrictEqual(frames.at(-1), {type: 'done', exitCode: 3, stderr: 'B\n/usr/bin/writ\n'});
		});

		test('a JavaScript module is run by Node', async () => {
			const frames = await answer('javascript', {
				kind: 'javascript',
				code: 'export default 6 * 7',
				tools: false,
				maxBytes: 1_000,
			});
			assert.deepEqual(frames[0], {type: 'value', value: 42});
		});

		for (const [framework, name, content] of [
			['node', 'a.test.mjs', "import {test} from 'node:test';\ntest('passes', () => {});\n"],
			['pytest', 'test_a.py', 'def test_passes(): pass\n'],
		] as const)
			test(`tests are run by ${framework}`, async () => {
				const directory = mkdtempSync(join(tmpdir(), 'writ-tests-'));
				chmodSync(directory, 0o755);
				writeFileSync(join(directory, name), content);
				const request: RunnerRequest = {kind: 'tests', framework, paths: [], maxBytes: 10_000};
				const frames = await answer('tests', request, {framework, mounts: [{source: directory, target: '/in'}]});
				const cases = frames.flatMap((frame) => (frame.type === 'case' ? [frame.case.status] : []));
				assert.deepEqual(cases, ['passed'], JSON.stringify(frames));
				rmSync(directory, {recursive: true});
			});

		test('its facts say what it is', async () => {
			const {level, seccomp, namespaces, runs, availability} = await provider.facts();
			assert.deepEqual(
				{level, seccomp, availability},
				{
					level: runtime === 'runsc' ? 'kernel-isolated' : 'kernel-shared',
					seccomp: true,
					availability: {kind: 'available'},
				},
			);
			assert.deepEqual(namespaces.slice(-6), ['mount', 'pid', 'net', 'ipc', 'uts', 'cgroup']);
			assert.deepEqual(
				['sql', 'python', 'ingest'].filter((name) => !runs.includes(name as 'sql')),
				[],
			);
			const {node, python} = await provider.runners();
			assert.match(`${node} ${python}`, /^24\.\d+\.\d+ 3\.\d+\.\d+, pandas \d+/);
		});
	});
}
