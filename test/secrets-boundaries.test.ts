/** Every way out of the platform, with a secret that it knows and, as the control, with the same text when it does not know it. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {WorkReply} from '#contract/api.ts';
import {freshData, type Scope, startWrit, type Writ} from './server.ts';

const VALUE = 'plain-words-that-nobody-would-suspect';
const SPELLED = [VALUE, Buffer.from(VALUE).toString('hex'), Buffer.from(VALUE).toString('base64').slice(0, 40)];

async function serve(scope: Scope, known: boolean): Promise<Writ> {
	const env = {SANDBOX_PROVIDER: 'process', RUN_TIMEOUT_SECONDS: '60', WRIT_POOL_SIZE: '0', LOG_LEVEL: 'debug'};
	return startWrit(scope, {
		dataDir: freshData(scope),
		until: 'listening',
		env: known ? {...env, WRIT_SECRET_CANARY: VALUE} : env,
	});
}

const CODE = `
import sys
value = "plain-words-" + "that-nobody-would-suspect"
for spelled in [value, value.encode().hex(), __import__("base64").b64encode(value.encode()).decode()]:
    print(spelled)
    print(spelled, file=sys.stderr)
for letter in value:
    sys.stdout.write(letter)
    sys.stdout.flush()
result = {"deep": [value], value: 1}
`;
const FAILING = 'raise ValueError("plain-words-" + "that-nobody-would-suspect")';

/** What was said in each place. */
async function said(writ: Writ): Promise<Readonly<Record<string, string>>> {
	const run = async (code: string) => (await writ.post<WorkReply>('/api/v1/code', {language: 'python', code})).body;
	const [done, failed] = [await run(CODE), await run(FAILING)];
	const text = async (route: string, init?: RequestInit) => (await writ.request(route, init)).text();
	const watch = {headers: {accept: 'text/event-stream'}, signal: AbortSignal.timeout(60_000)};
	return {
		'a reply': JSON.stringify(done),
		'an error of a run': JSON.stringify(failed),
		'events as JSON': JSON.stringify(await writ.events(done.runId)),
		'events as a stream': await text(`/runs/${done.runId}/events`, watch),
		'a run': await text(`/api/v1/code/${done.runId}`),
		'exported evidence': await text(`/runs/${failed.runId}/evidence`),
		'an error body': await text(`/datasets/${VALUE}/schema`),
		'an unknown route': await text(`/api/v1/${VALUE}`),
		'a log': await loggedOf(writ),
	};
}

async function loggedOf(writ: Writ): Promise<string> {
	await writ.request('/healthz', {headers: {'x-request-id': VALUE}});
	return writ.log();
}

test('a secret that the platform knows leaves it in no way, however a program spells it', async (t) => {
	const places = await said(await serve(t, true));
	assert.equal(Object.keys(places).length, 9);
	for (const [place, text] of Object.entries(places)) {
		assert.ok(text.length > 20, `${place} said something: ${text}`);
		for (const spelled of SPELLED) assert.ok(!text.includes(spelled), `${place}: ${text.slice(0, 500)}`);
	}
});

test('without knowing it the same places say it', async (t) => {
	const places = await said(await serve(t, false));
	const silent = Object.entries(places).filter(([, text]) => !SPELLED.some((spelled) => text.includes(spelled)));
	assert.deepEqual(silent, []);
});
