import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {copyFileSync, mkdirSync, mkdtempSync, openAsBlob, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import type {Verification} from '#contract/api.ts';
import {type Client, createClient} from '#server/client.ts';
import {ORIGIN, type TestServer, testServer} from '#server/doubles/test-server.ts';
import {runCli} from './cli.ts';
import type {CliPorts, Io} from './io.ts';

type Ran = {readonly exit: number; readonly out: string; readonly err: string};

const place = mkdtempSync(join(tmpdir(), 'writ-cli-'));
process.once('exit', () => rmSync(place, {recursive: true, force: true}));

/** A command line against a server in this process. */
function commandLine(changes: Partial<Io> = {}, more: Partial<CliPorts> = {}, server: TestServer = testServer()) {
	const cwd = mkdtempSync(join(place, 'cwd-'));
	const run = async (...argv: string[]): Promise<Ran> => {
		const [out, err]: [string[], string[]] = [[], []];
		const io: Io = {
			out: (text) => void out.push(text),
			err: (text) => void err.push(text),
			columns: 100,
			colour: false,
			interactive: false,
			stdin: async () => 'select 1',
			askSecret: async () => 'typed-and-not-shown',
			readFile: (path) => readFile(path, 'utf8'),
			readBytes: (path) => readFile(path),
			listFiles: async (path) => [path],
			openBlob: (path) => openAsBlob(path),
			writeFile: async (path, body) => writeFileSync(path, Buffer.from(await new Response(body).arrayBuffer())),
			cwd,
			...changes,
		};
		const exit = await runCli(argv, {
			io,
			connect: async () => clientOf(server),
			local: {
				serve: async () => {},
				addSamples: async () => ({datasets: [{id: 'support', rows: 6417, added: true}], where: '/data'}),
				verifyDatasets: async () => [],
				policy: () => Promise.reject(new Error('these tests read no policy files')),
				secrets: {list: async () => [], set: async () => {}, delete: async () => {}, rotateKey: async () => 'rotated'},
				keys: {list: async () => [], rotate: async () => assert.fail('it rotated the key')},
				evidence: {
					async verify(place, {key}) {
						if (!String(place).endsWith('run_1.json')) return null;
						return key === undefined ? verification('tampered', 3) : verification('cannot_tell', null);
					},
					read: async () => new Map([['reports/summary.md', Buffer.from('# Run run_1\n')]]),
					write: async () => {},
				},
			},
			version: '0.0.0',
			signal: new AbortController().signal,
			...more,
		});
		return {exit, out: out.join(''), err: err.join('')};
	};
	return {run, cwd, server};
}

function clientOf({server}: TestServer): Client {
	return createClient({url: ORIGIN, fetch: server.fetch});
}

function verification(verdict: Verification['verdict'], position: number | null): Verification {
	return {verdict, runId: 'run_1', events: 4, keyId: null, checks: [], position};
}

test('an answer is printed with its table, its row count and where its evidence is', async () => {
	const {run} = commandLine();
	assert.deepEqual(await run('ask', 'how many?', '--dataset', 'support'), {
		exit: 0,
		out: 'two\n\nn\n2\n1 row\nsucceeded · run_1 · writ evidence verify run_1\n',
		err: '',
	});
});

test('--json prints one document, wherever it stands', async () => {
	const {run} = commandLine();
	for (const argv of [
		['--json', 'ask', 'how many?', '-d', 'support'],
		['ask', '-d', 'support', 'how many?', '--json'],
	]) {
		const {out} = await run(...argv);
		assert.equal((JSON.parse(out) as {status: string}).status, 'succeeded');
	}
});

for (const [argv, exit, said] of [
	[['ask', 'q', '-d', 'nope'], 4, /^not_found: Dataset not found\n {2}GET \/datasets lists them\n$/],
	[['ask', 'fail', '-d', 'support'], 1, /^store_unavailable: /],
	[['ask', 'crash', '-d', 'support'], 70, /^internal_error: something went wrong/],
	[['runs', 'show', 'run_x'], 4, /^not_found: Run not found/],
	[['run', '-d', 'support'], 2, /^invalid_request: give exactly one of/],
	[['run', '-d', 'support', '--file', 'none.sql'], 2, /^unreadable_file: none.sql: there is no such file/],
	[['run', '-d', 'support', '--file', '.'], 2, /^unreadable_file: .*: it is a directory/],
	[['run', '-d', 'support', '--plan', '-'], 2, /^invalid_plan: the plan is not JSON/],
	[['ask', 'q'], 2, /required option '-d, --dataset <id>' not specified/],
	[['ask', ' ', '-d', 'support'], 2, /^invalid_request: the question is empty/],
	[['dataset'], 2, /unknown command 'dataset'\n\(Did you mean datasets\?\)/],
	[['runs', 'list', '--status', 'odd'], 2, /'--status <status>' argument 'odd' is invalid. Allowed choices are running,/],
] as const) {
	test(`writ ${argv.join(' ')} exits ${exit} and says why on standard error`, async () => {
		const ran = await commandLine().run(...argv);
		assert.deepEqual([ran.exit, ran.out], [exit, '']);
		assert.match(ran.err, said);
	});
}

test('an error is one JSON document on standard error with --json', async () => {
	const {exit, out, err} = await commandLine().run('runs', 'show', 'run_x', '--json');
	assert.deepEqual([exit, out, (JSON.parse(err) as {error: {code: string}}).error.code], [4, '', 'not_found']);
});

test('runs are listed, shown, run again, cancelled and exported', async () => {
	const {run, cwd} = commandLine();
	await run('run', '-d', 'support', '--sql', 'select 1');
	assert.match(
		(await run('runs', 'list')).out,
		/^run +created \(UTC\) +status +mode +dataset +question\nrun_1 +2026-03-01 12:00:00 +succeeded +sql +support +select 1\n$/,
	);
	assert.match((await run('runs', 'show', 'run_1')).out, /^run_1 succeeded/);
	assert.match((await run('runs', 'rerun', 'run_1')).out, /succeeded · run_2/);
	assert.equal((await run('runs', 'cancel', 'run_1')).out, 'run_1 succeeded\n');
	assert.equal((await run('runs', 'export', 'run_1', '-o', 'x.csv')).out, `${join(cwd, 'x.csv')}\n`);
	assert.equal(readFileSync(join(cwd, 'x.csv'), 'utf8'), 'n\n2\n');
});

test('a file is added by its path to a server on this machine, and uploaded to one that wants a token', async () => {
	for (const server of [testServer(), testServer({authTokens: [{token: 'a-long-enough-token', id: 'ann', tenant: 'local'}]})]) {
		const client = createClient({url: ORIGIN, fetch: server.server.fetch, token: 'a-long-enough-token'});
		const {run, cwd} = commandLine({}, {connect: async () => client}, server);
		writeFileSync(join(cwd, 'sales.csv'), 'a,b\n1,2\n');
		const {exit, err} = await run('datasets', 'add', 'sales.csv', '--id', 'sales');
		assert.deepEqual([exit, err], [0, '']);
		assert.deepEqual(server.analyst.added, [{id: 'sales', files: [{name: 'sales.csv', text: 'a,b\n1,2\n'}]}]);
	}
});

test('evidence is verified from a file without a server, with the exit code of the verdict', async () => {
	const noServer = {connect: () => assert.fail('it asked for a server')};
	const {run, cwd} = commandLine({}, noServer as Partial<CliPorts>);
	writeFileSync(join(cwd, 'run_1.json'), '{}');
	const {exit, out} = await run('evidence', 'verify', 'run_1.json');
	assert.deepEqual([exit, out], [1, 'tampered at event 3: run_1, 4 events\n']);
	assert.equal((await run('evidence', 'verify', 'gone.json')).exit, 2);
});

test('evidence of a run is verified by the server', async () => {
	const {run, server} = commandLine();
	await server.post('/runs', {dataset_id: 'support', sql: 'x'});
	assert.deepEqual(await run('evidence', 'verify', 'run_1'), {exit: 0, out: 'valid: run_1, 2 events\n', err: ''});
});

test('a check of the data that examined nothing has failed', async () => {
	assert.deepEqual(await commandLine().run('datasets', 'verify'), {exit: 1, out: 'nothing was examined\n', err: ''});
});

test('Ctrl-C cancels the run and exits 130', async () => {
	const stop = new AbortController();
	const server = testServer({disconnectGraceMs: 0});
	const running = await server.server.listen();
	try {
		const connect = async () => createClient({url: running.url});
		const progress = (text: string) => void (text.includes('planning') && stop.abort());
		const {run} = commandLine({interactive: true, err: progress}, {connect, signal: stop.signal}, server);
		assert.equal((await run('ask', 'wait', '-d', 'support')).exit, 130);
		for await (const event of server.store.subscribe('run_1', 1, AbortSignal.timeout(5_000))) {
			assert.deepEqual([event.type, event.type === 'run.finished' && event.data.status], ['run.finished', 'cancelled']);
			break;
		}
	} finally {
		await running.close();
	}
});

test('Ctrl-C cancels a run of the server in this process too', async () => {
	for (const [argv, runId] of [
		[['ask', 'wait', '-d', 'support'], 'run_1'],
		[['run', '--sql', 'wait', '-d', 'support'], 'run_1'],
	] as const) {
		const stop = new AbortController();
		const server = testServer();
		const connect = async () => createClient({url: ORIGIN, fetch: server.server.fetch, close: server.server.stop});
		const {run} = commandLine({}, {connect, signal: stop.signal}, server);
		const ran = run(...argv);
		for await (const _ of server.store.subscribe(runId, 0, AbortSignal.timeout(5_000))) break;
		stop.abort();
		assert.equal((await ran).exit, 130);
		assert.equal((await server.store.run(runId))?.status, 'cancelled');
	}
});

test('text of a model or a cell cannot steer the terminal', async () => {
	const server = testServer();
	const response = {
		assistant_message: 'a\u001b]0;title\u0007b\u202e',
		result: {columns: ['x\u001b[31m'], rows: [['y\u001b[2J']]},
	};
	const full = (await (await server.post('/chat', {dataset_id: 'support', message: 'q'})).json()) as {result: object};
	const body = JSON.stringify({...full, ...response, result: {...full.result, ...response.result}});
	const client = createClient({url: ORIGIN, fetch: () => new Response(body)});
	const {out} = await commandLine({}, {connect: async () => client}, server).run('run', '-d', 'support', '--sql', 'x');
	assert.equal(out.replaceAll('\n', '').match(/\p{Cc}|\u202e/u), null);
});

test('bin/writ takes the first Node that is new enough, and says what to do when there is none', () => {
	const root = mkdtempSync(join(tmpdir(), 'writ-bin-'));
	const node = (dir: string, version: string) => {
		mkdirSync(join(root, dir), {recursive: true});
		const script = `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo ran ${version} "$4"\n`;
		writeFileSync(join(root, dir, 'node'), script, {mode: 0o755});
		return join(root, dir);
	};
	mkdirSync(join(root, 'bin'));
	copyFileSync(join(import.meta.dirname, '../../bin/writ'), join(root, 'bin/writ'));
	const run = (path: string) =>
		spawnSync('sh', [join(root, 'bin/writ'), 'doctor'], {env: {PATH: `${path}:/usr/bin:/bin`}, encoding: 'utf8'});
	const none = run(node('old', 'v20.9.0'));
	assert.deepEqual([none.status, none.stdout], [69, '']);
	assert.match(none.stderr, /^writ needs Node 24\.15 or newer, and found none\.\n {2}run `scripts\/setup\.sh app`/);
	assert.match(run(node('almost', 'v24.14.9')).stderr, /found none/);
	for (const version of ['v24.15.0', 'v24.21.0', 'v26.0.1'])
		assert.equal(run(node(version, version)).stdout, `ran ${version} doctor\n`);
});
