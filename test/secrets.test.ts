/** A secret of the store goes out to the host that a setting names, and is nowhere else: not inside, not on record, not on disk. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {globSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import path from 'node:path';
import {after, test} from 'node:test';
import type {WorkReply} from '#contract/api.ts';
import {createAuthority} from '#sandbox/egress/certificates.ts';
import {freshData, runWrit, type Scope, startWrit, type Writ} from './server.ts';

const VALUE = 'wr1t-canary/Q7+zP=8&x';
const POLICY = `
@id("people-reach-localhost")
@description("people's programs may reach localhost")
permit (principal is User, action in Action::"code:read", resource)
when { ["localhost"].containsAll(context.hosts) };
`;
const FORMS = [
	...[VALUE, encodeURIComponent(VALUE), JSON.stringify(VALUE).slice(1, -1).replaceAll('/', '\\/'), [...VALUE].reverse().join('')],
	...[Buffer.from(VALUE).toString('hex'), Buffer.from(VALUE).toString('base64')],
];

type Seen = {readonly path: string; readonly key: string | undefined};

/** A host that repeats what it was sent, in every spelling. */
async function startUpstream() {
	const authority = createAuthority();
	const seen: Seen[] = [];
	const options = {
		SNICallback: (name: string, done: (error: null, context: object) => void) => done(null, authority.contextFor(name)),
	};
	const server = createServer(options as object, (request, response) => {
		const key = request.headers['x-api-key'];
		seen.push({path: request.url ?? '', key: String(key)});
		response.setHeader('x-echo', String(key));
		response.end(JSON.stringify({echo: key, forms: FORMS, headers: request.rawHeaders}));
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	after(() => {
		server.closeAllConnections();
		server.close();
	});
	return {seen, port: (server.address() as AddressInfo).port, certificate: authority.certificate};
}

const upstream = await startUpstream();
const url = `https://localhost:${upstream.port}`;
const network = {allow: [{host: 'localhost', ports: [upstream.port]}], maxBytes: 1_000_000};

async function start(scope: Scope, more: Record<string, string> = {}): Promise<Writ> {
	const dataDir = freshData(scope);
	const place = (name: string, text: string) => {
		writeFileSync(path.join(dataDir, name), text);
		return path.join(dataDir, name);
	};
	return startWrit(scope, {
		...{dataDir, until: 'listening'},
		env: {
			...{SANDBOX_PROVIDER: 'process', RUN_TIMEOUT_SECONDS: '60', WRIT_POLICY_FILE: place('rules.cedar', POLICY)},
			WRIT_EGRESS_EXCEPTIONS: 'localhost=127.0.0.0/8,localhost=::1/128',
			WRIT_EGRESS_CA_FILE: place('authority.pem', upstream.certificate),
			WRIT_EGRESS_INJECT: 'localhost=X-Api-Key: key-secret:upstream',
			...more,
		},
	});
}

async function python(writ: Writ, code: string): Promise<WorkReply> {
	const {status, body} = await writ.post<WorkReply>('/api/v1/code', {language: 'python', code, network});
	assert.equal(status, 200, JSON.stringify(body));
	return body;
}

const CALL = `
import json, os, pathlib, urllib.request
answer = urllib.request.urlopen("${url}/from-inside")
body = answer.read().decode()
inside = json.dumps(dict(os.environ))
for name in ["/proc/self/environ", "/proc/1/environ", "/proc/self/cmdline", "/proc/1/cmdline"]:
    inside += open(name, errors="replace").read() if os.path.exists(name) and os.access(name, os.R_OK) else ""
for root in ["/runtime/egress", "/in", "/out", "/tmp"]:
    for each in pathlib.Path(root).glob("**/*"):
        try:
            inside += each.read_text(errors="replace") if each.is_file() and each.stat().st_size < 1000000 else ""
        except OSError:
            pass
print(body)
print(dict(answer.headers))
print(inside[:20000])
result = {"status": answer.status, "echo": json.loads(body)["echo"], "looked": len(inside) > 1000}
`;

test('the host sees the secret, and nothing and nobody else does', async (t) => {
	const writ = await start(t);
	const {exit, out, err} = await runWrit(['secrets', 'set', 'upstream'], {
		env: {WRIT_DATA_DIR: writ.dataDir},
		input: `${VALUE}\n`,
	});
	assert.deepEqual([exit, out, err], [0, 'upstream is kept; refer to it as secret:upstream\n', '']);

	const reply = await python(writ, CALL);

	assert.equal(reply.status, 'succeeded', JSON.stringify(reply));
	assert.deepEqual(upstream.seen.splice(0), [{path: '/from-inside', key: `key-${VALUE}`}]);
	const {value, stdout} = reply.output as {value: {rows: [string, unknown][]}; stdout: string};
	assert.deepEqual(Object.fromEntries(value.rows), {status: 200, echo: `key-${'*'.repeat(VALUE.length)}`, looked: true});
	assert.ok(stdout.includes('x-echo'));
	const listed = JSON.parse((await runWrit(['secrets', '--json'], {env: {WRIT_DATA_DIR: writ.dataDir}})).out);
	assert.equal(typeof listed.secrets[0].lastUsedAt, 'string');

	const texts = [
		JSON.stringify(reply),
		JSON.stringify(await writ.events(reply.runId)),
		JSON.stringify((await writ.get(`/runs/${reply.runId}`)).body),
		await (await writ.request(`/runs/${reply.runId}/evidence`)).text(),
		await (await writ.request('/api/v1/config')).text(),
		writ.log(),
	];
	await writ.stop();
	const files = globSync('**/*', {cwd: writ.dataDir}).map((name) => path.join(writ.dataDir, name));
	const kept = files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file).toString('latin1'));
	assert.ok(kept.length > 5, 'files were looked at');
	for (const form of FORMS)
		assert.deepEqual(
			[...texts, ...kept].filter((text) => text.includes(form)),
			[],
		);
	assert.ok(texts[1]?.includes('"verdict":"allowed"'), 'the way out is on record');
});

test('a secret that is not there, or goes to another host, opens no way', async (t) => {
	const writ = await start(t, {WRIT_EGRESS_INJECT: 'localhost=X-Api-Key: secret:missing'});
	const missing = await python(writ, 'import urllib.request\nurllib.request.urlopen("https://localhost/")');
	assert.equal(missing.error?.message, 'there is no secret `missing` for `localhost`');
	const inject = {header: 'X', secret: 'missing', prefix: ''};
	const elsewhere = {
		language: 'python',
		code: 'result = 1',
		network: {...network, allow: [{host: 'localhost', inject: {...inject, secret: 'other'}}]},
	};
	const {body} = await writ.post<WorkReply>('/api/v1/code', elsewhere);
	assert.match(body.error?.message ?? '', /there is no secret `(?:missing|other)` for `localhost`/);
	assert.deepEqual(upstream.seen, []);
});

test('without the exception a private address is not reached', async (t) => {
	const writ = await start(t, {WRIT_EGRESS_EXCEPTIONS: 'other.example=127.0.0.0/8', WRIT_SECRET_UPSTREAM: VALUE});
	const reply = await python(writ, `import urllib.request\nurllib.request.urlopen("${url}/")`);
	assert.equal(reply.status, 'failed');
	assert.deepEqual(upstream.seen, []);
	assert.match(JSON.stringify(await writ.events(reply.runId)), /loopback address|own addresses/);
});

test('without the authority of the setting the host is not trusted with a secret', async (t) => {
	const writ = await start(t, {WRIT_EGRESS_CA_FILE: '', WRIT_SECRET_UPSTREAM: VALUE});
	const reply = await python(writ, `import urllib.request\nurllib.request.urlopen("${url}/")`);
	assert.equal(reply.status, 'failed');
	assert.deepEqual(upstream.seen, []);
});

test('a server whose secrets cannot be read does not start, and says why', async (t) => {
	const dataDir = freshData(t);
	const env = {WRIT_DATA_DIR: dataDir};
	await runWrit(['secrets', 'set', 'api'], {env, input: VALUE});
	writeFileSync(path.join(dataDir, 'keys', 'secrets.key'), `${Buffer.alloc(32).toString('base64')}\n`);
	const {exit, err} = await runWrit(['datasets', 'list'], {env});
	assert.equal(exit, 1);
	assert.match(err, /^secrets_unreadable: the secrets in .* were encrypted with another key than that in /);
});
