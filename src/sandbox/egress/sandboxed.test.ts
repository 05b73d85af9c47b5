/** The way out as programs inside see it: curl, Python and Node, with what the sandbox gives them and nothing else. */
import assert from 'node:assert/strict';
import {chmodSync, existsSync, mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, describe, test} from 'node:test';
import type {EgressReport, RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import type {SandboxResult} from '#kernel/tool.ts';
import {attackerRuntime, MIB, permit, python, spec} from '../fixtures/attack.ts';
import {createProcessProvider} from '../process/process.ts';
import {createRuntime} from '../runtime.ts';
import type {SandboxProvider} from '../sandbox.ts';
import {createEgress} from './egress.ts';
import {SECRET, startInternet} from './fixtures/internet.ts';

const signal = new AbortController().signal;
const net = await startInternet();
const [plain, encrypted] = [await net.http(), await net.https()];
const directory = mkdtempSync(join(tmpdir(), 'egress-'));
chmodSync(directory, 0o755);
after(() => rmSync(directory, {recursive: true}));
const egress = createEgress({
	...{secrets: () => SECRET, directory, resolvers: [net.resolver], trust: [net.authority.certificate]},
	exceptions: [{host: 'allowed.test', cidr: '127.0.0.0/8'}],
});
const attacker = createProcessProvider({runtime: attackerRuntime(), egress});
const root = join(import.meta.dirname, '../../..');
const runtime = createRuntime({root, nodePath: process.execPath, pythonPath: join(root, '.writ/python/bin/python3')});
const real = createProcessProvider({runtime, egress});
after(async () => {
	await attacker.close();
	await real.close();
	await net.close();
});

const limits = {memoryBytes: 512 * MIB, processes: 64, scratchBytes: 64 * MIB, wallMs: 20_000};
const inject = {header: 'Authorization', secret: 'key', prefix: 'Bearer '};
const open: SandboxSpec['network'] = {
	allow: [
		{host: 'allowed.test', ports: [encrypted], paths: ['/keyed'], inject},
		{host: 'allowed.test', ports: [plain, encrypted]},
	],
	maxBytes: MIB,
};

async function run(provider: SandboxProvider, of: SandboxSpec, request: RunnerRequest): Promise<SandboxResult> {
	const sandbox = await provider.open(of, {warm: false, signal});
	const result = await sandbox.run(permit(), request, signal).finally(() => sandbox.dispose());
	assert.equal(result.frames.at(-1)?.type, 'done', JSON.stringify(result.frames));
	return result;
}

/** What the code inside answered, and what the proxy says of it. */
async function inside(
	code: string,
	network = open,
): Promise<{said: unknown; report: EgressReport | undefined; result: SandboxResult}> {
	const result = await run(attacker, spec({network, limits}), python(code));
	const [stage] = result.frames;
	assert.ok(stage?.type === 'stage');
	return {said: JSON.parse(stage.stage), report: result.usage.egress, result};
}

const https = `https://allowed.test:${encrypted}`;
const http = `http://allowed.test:${plain}`;
const shown = (report: EgressReport | undefined) => report?.decisions.map(({request, verdict}) => `${verdict} ${request}`);

describe('inside a sandbox with a way out', () => {
	const curl = (url: string) =>
		`import subprocess\nr = subprocess.run(["curl", "-sS", "-m", "10", ${JSON.stringify(url)}], capture_output=True, text=True)\nanswer([r.returncode, (r.stdout + r.stderr)[:2000]])`;

	test('curl reaches what is allowed, in clear text and over TLS, and nothing else', {
		skip: !existsSync('/usr/bin/curl') && 'curl is not installed',
	}, async () => {
		const clear = await inside(curl(`${http}/a`));
		assert.match(String(clear.said), /^0,\{"method":"GET","url":"\/a"/);
		const {said, report, result} = await inside(curl(`${https}/b`));
		assert.match(String(said), /^0,\{"method":"GET","url":"\/b"/);
		assert.deepEqual(shown(report), ['allowed GET /b']);
		assert.equal(result.isolation.network, 'allow-list');
		const refused = await inside(curl('https://evil.test/'));
		assert.match(String(refused.said), /^56,.*CONNECT tunnel failed, response 403/);
		assert.deepEqual(shown(refused.report), ['refused null']);
	});

	test('curl gets a secret to its host without ever holding it', {
		skip: !existsSync('/usr/bin/curl') && 'curl is not installed',
	}, async () => {
		const {said, result} = await inside(curl(`${https}/keyed`));
		assert.match(String(said), /"Authorization","Bearer \*{20}"/);
		assert.doesNotMatch(JSON.stringify(result), /canary/);
	});

	test('urllib and requests reach it too', async () => {
		const code = `import sys, urllib.request
sys.path.append("/usr/lib/python3/dist-packages")
said = [json.loads(urllib.request.urlopen(u).read())["url"] for u in ("${http}/u", "${https}/u")]
try:
  from pip._vendor import requests
  said += [requests.get(u).json()["url"] for u in ("${http}/r", "${https}/r")]
  said += [requests.post("${https}/p", data=b"x" * 100000).json()["method"]]
except ImportError: said += ["no requests"]
answer(said)`;
		const {said} = await inside(code);
		assert.deepEqual(said, [
			'/u',
			'/u',
			...(existsSync('/usr/lib/python3/dist-packages/pip/_vendor/requests') ? ['/r', '/r', 'POST'] : ['no requests']),
		]);
	});

	test('without its proxy settings a program reaches nothing', async () => {
		const code = `import socket, urllib.request
def dial(family, kind, where, protocol=0):
  s = socket.socket(family, kind, protocol)
  s.settimeout(2)
  s.connect(where)
  return "connected"
answer([attempt(lambda: dial(*each)) for each in [
  (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", ${plain})),
  (socket.AF_INET, socket.SOCK_STREAM, ("93.184.216.34", 443)),
  (socket.AF_INET, socket.SOCK_DGRAM, ("93.184.216.34", 53)),
  (socket.AF_INET, socket.SOCK_RAW, ("93.184.216.34", 0), 1),
  (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 3128), 132),
  (socket.AF_INET6, socket.SOCK_STREAM, ("::1", 443)),
  (socket.AF_NETLINK, socket.SOCK_RAW, (0, 0)),
  (socket.AF_PACKET, socket.SOCK_RAW, ("lo", 0)),
  (40, socket.SOCK_STREAM, (2, 1)),
  (38, 5, ("hash", "md5")),
  (socket.AF_UNIX, socket.SOCK_STREAM, "\\0writ-abstract"),
  (socket.AF_UNIX, socket.SOCK_DGRAM, "/runtime/egress/proxy"),
  (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 3128)),
]])`;
		const {said} = await inside(code);
		const refused = 'PermissionError 1';
		assert.deepEqual(said, [
			...['ConnectionRefusedError 111', 'OSError 101'],
			...Array(8).fill(refused),
			...['ConnectionRefusedError 111', refused, 'connected'],
		]);
	});

	test('neither the secret nor anything of the proxy but its socket can be seen', async () => {
		const code = `import subprocess
files = sorted(os.listdir("/runtime/egress"))
texts = [open("/runtime/egress/" + f, errors="replace").read() for f in files if f.endswith((".pem", ".ts"))]
answer([files, "PRIVATE" in "".join(texts), sorted(k for k in os.environ if "proxy" in k.lower()), "canary" in str(os.environ),
  [attempt(lambda: os.unlink("/runtime/egress/proxy")), attempt(lambda: open("/runtime/egress/run.pem", "a"))].count("succeeded")])`;
		const {said} = await inside(code);
		assert.deepEqual(said, [
			['all.pem', 'forwarder.ts', 'node', 'proxy', 'run.pem'],
			false,
			['HTTPS_PROXY', 'HTTP_PROXY', 'NODE_USE_ENV_PROXY', 'http_proxy', 'https_proxy'],
			false,
			0,
		]);
	});

	test('a run ends at the bytes it may carry, by name, and its error says what was reached', async () => {
		const code = `import urllib.request
for n in range(100): urllib.request.urlopen(urllib.request.Request("${https}/up", data=b"x" * 100000)).read()
answer("never")`;
		await assert.rejects(
			inside(code, {...open, maxBytes: 300_000}),
			(error: {code: string; details: {limit: string; egress: EgressReport}}) => {
				assert.deepEqual([error.code, error.details.limit], ['runner_resource_exceeded', 'networkBytes']);
				assert.ok(error.details.egress.bytesUp <= 300_000 && error.details.egress.decisions.length > 1);
				return true;
			},
		);
	});

	test('nothing of it is left after the run', async () => {
		await inside('answer(1)');
		assert.deepEqual(readdirSync(directory), []);
	});
});

describe('the runners', () => {
	const of = (runner: SandboxSpec['runner']) => ({...spec({runner, network: open, limits: {...limits, openFiles: 256}})});

	test('of JavaScript fetches', async () => {
		const code = `export default await Promise.all(['${http}/f', '${https}/f'].map(async (url) => (await (await fetch(url)).json()).url));`;
		const {frames, usage} = await run(real, of('javascript'), {kind: 'javascript', code, tools: false, maxBytes: MIB});
		assert.deepEqual(
			frames.find((frame) => frame.type === 'value'),
			{type: 'value', value: ['/f', '/f']},
		);
		assert.deepEqual(shown(usage.egress)?.toSorted(), ['allowed GET /f', 'allowed GET /f']);
	});

	test('of Python reads a URL', {
		skip: !existsSync(join(root, '.writ/python/bin/python3')) && 'no Python with pandas here',
	}, async () => {
		const code = `import urllib.request, json\nprint(json.loads(urllib.request.urlopen("${https}/py").read())["url"])\nresult = 1`;
		const {frames, usage} = await run(real, of('python'), {...python(code), maxRows: 10, maxBytes: MIB} as RunnerRequest);
		assert.deepEqual(shown(usage.egress), ['allowed GET /py'], JSON.stringify(frames));
	});

	test('of shell scripts hands the way on to what it starts', async () => {
		const script = `/runtime/egress/node --no-warnings -e 'fetch("${https}/sh").then((r) => r.json()).then((j) => console.log(j.url))'`;
		const {frames} = await run(real, of('shell'), {kind: 'shell', script, tools: false, maxBytes: MIB});
		const done = frames.at(-1);
		assert.ok(done?.type === 'done');
		assert.deepEqual([done.exitCode, done.stdout, done.stderr], [0, '/sh\n', undefined]);
	});
});

test('a provider without egress refuses a spec that names destinations', async () => {
	const provider = createProcessProvider({runtime: attackerRuntime()});
	await assert.rejects(provider.open(spec({network: open}), {warm: false, signal}), {code: 'sandbox_unavailable'});
	assert.equal((await provider.facts()).egress, false);
	assert.equal((await attacker.facts()).egress, true);
	await provider.close();
});
