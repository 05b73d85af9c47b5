/** Every way out of the platform, with a secret that it knows and, as the control, with the same text when it does not know it. */
import assert from 'node:assert/strict';
import {globSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import type {WorkReply} from '#contract/api.ts';
import {startOpenAi} from '#models/doubles/openai.ts';
import {type Env, eventually, freshData, runWrit, type Scope, startWrit, type Writ} from './server.ts';

const VALUE = 'plain-words-that-nobody-would-suspect';
const SPELLED = [VALUE, Buffer.from(VALUE).toString('hex'), Buffer.from(VALUE).toString('base64').slice(0, 40)];

async function serve(scope: Scope, known: boolean, more: Env = {}): Promise<Writ> {
	const env = {...more, SANDBOX_PROVIDER: 'process', RUN_TIMEOUT_SECONDS: '60', WRIT_POOL_SIZE: '0', LOG_LEVEL: 'debug'};
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
	return eventually('line about it', () => (writ.log().includes('/healthz') ? writ.log() : undefined));
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

/** A dataset with the value in its cells, its header and everything that is said of it; and all that the server says of it. */
async function uploaded(writ: Writ): Promise<void> {
	const form = new FormData();
	for (const [name, text] of Object.entries({id: 'cells', name: `About ${VALUE}`, description: `It holds ${VALUE}`}))
		form.set(name, text);
	const rows = ['a', 'b', 'c'].map((letter) => `${letter},${VALUE},${VALUE}`);
	form.append('file', new Blob([`letter,held,of ${VALUE}\n${rows.join('\n')}\n`]), 'cells.csv');
	const added = await writ.request('/datasets', {method: 'POST', body: form});
	assert.equal(added.status, 201, await added.clone().text());
}

async function described(writ: Writ): Promise<Readonly<Record<string, string>>> {
	const text = async (route: string) => (await writ.request(route)).text();
	return {list: await text('/datasets'), schema: await text('/datasets/cells/schema')};
}

function manifestOf({dataDir}: Writ): string {
	const [file = ''] = globSync('datasets/local/cells/*/manifest.json', {cwd: dataDir});
	return readFileSync(path.join(dataDir, file), 'utf8');
}

test('a secret that is known when a dataset is added is neither kept nor said in its profile', async (t) => {
	await using model = await startOpenAi([{say: 'There are three letters.'}]);
	const [known, unknown] = await Promise.all([
		serve(t, true, {OPENAI_BASE_URL: model.url, OPENAI_API_KEY: 'a-key-of-the-model-0815'}),
		serve(t, false),
	]);
	await Promise.all([uploaded(known), uploaded(unknown)]);
	await known.ask('Which letters are there?', 'cells');
	const places = {...(await described(known)), manifest: manifestOf(known), prompt: JSON.stringify(model.requests)};
	for (const [place, text] of Object.entries(places)) {
		assert.ok(!text.includes(VALUE), `${place}: ${text.slice(0, 3_000)}`);
		assert.ok(text.includes('[redacted:'), `${place} said something: ${text}`);
	}
	for (const [place, text] of Object.entries({...(await described(unknown)), manifest: manifestOf(unknown)}))
		assert.ok(text.includes(VALUE), `${place}: ${text.slice(0, 3_000)}`);
});

test('a secret that is set after a dataset was added is said no longer, and adding it again takes it out of the file', async (t) => {
	await using model = await startOpenAi([{calls: [{name: 'get_dataset_schema', args: {}}]}, {say: 'There are three letters.'}]);
	const writ = await serve(t, false, {OPENAI_BASE_URL: model.url, OPENAI_API_KEY: 'a-key-of-the-model-0815'});
	await uploaded(writ);
	const before = Object.values(await described(writ));
	assert.deepEqual(
		before.map((text) => text.includes(VALUE)),
		[true, true],
	);
	const {exit, err} = await runWrit(['secrets', 'set', 'late'], {env: {WRIT_DATA_DIR: writ.dataDir}, input: VALUE});
	assert.equal(exit, 0, err);
	await eventually('reply without it', async () => !(await described(writ)).list?.includes(VALUE) || undefined);
	const {schema = ''} = await described(writ);
	assert.ok(!schema.includes(VALUE) && schema.includes('"sample_rows":[{"letter":"a"'), schema);
	await writ.ask('Which letters are there?', 'cells');
	assert.equal(model.requests.length, 2);
	assert.ok(!JSON.stringify(model.requests).includes(VALUE), 'neither the prompt nor the answer of the schema tool');
	assert.ok(manifestOf(writ).includes(VALUE));
	await uploaded(writ);
	assert.ok(!manifestOf(writ).includes(VALUE));
});
