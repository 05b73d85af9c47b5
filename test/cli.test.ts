/** The command line as a person types it: on a fresh directory without a server, and beside one. */
import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {globSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, suite, test} from 'node:test';
import {DuckDBInstance} from '@duckdb/node-api';
import type {Capsule, ChatResponse, Verification} from '#contract/api.ts';
import {freshData, ingestedSamples, runWrit, startWrit} from './server.ts';

const scope = {after};
const cwd = freshData(scope);
const dataDir = freshData(scope, await ingestedSamples());
const writ = await startWrit(scope, {dataDir: freshData(scope, dataDir), env: {WRIT_POOL_SIZE: '1'}});
/** Nothing listens there, so a command without a server never finds one that somebody else runs. */
const NO_SERVER = {WRIT_PORT: '1'};

for (const [where, env] of [
	['without a server', {...NO_SERVER, WRIT_DATA_DIR: dataDir, WRIT_POOL_SIZE: '0'}],
	['with a server', {WRIT_URL: writ.url}],
] as const) {
	const run = (...args: string[]) => runWrit(args, {env, cwd});
	const json = async <T>(...args: string[]) => JSON.parse((await run(...args, '--json')).out) as T;

	suite(where, () => {
		test('run computes SQL and prints the table, the count and where its evidence is', async () => {
			const {exit, out, err} = await run('run', '-d', 'support', '--sql', 'SELECT count(*) AS n FROM tickets');
			assert.deepEqual([exit, err], [0, '']);
			assert.match(out, /\n *n\n6417\n1 row\nsucceeded · run_\w+ · writ evidence verify run_\w+\n$/);
		});

		test('run takes a plan from standard input and a program from a file', async () => {
			const plan = JSON.stringify({table: 'tickets', select: [{func: 'count', alias: 'n'}]});
			const planned = await runWrit(['run', '-d', 'support', '--plan', '-', '--json'], {env, cwd, input: plan});
			writeFileSync(path.join(cwd, 'count.py'), 'result = len(tickets)\n');
			const computed = await run('run', '-d', 'support', '--file', 'count.py', '--json');
			for (const {exit, out} of [planned, computed]) {
				assert.equal(exit, 0, out);
				assert.deepEqual((JSON.parse(out) as ChatResponse).result.rows, [[6_417]]);
			}
		});

		test('ask runs code after its prefix, and --json is the whole answer', async () => {
			const answer = await json<ChatResponse>(
				'ask',
				'SQL: SELECT count(*) AS n FROM tickets',
				'-d',
				'support',
				'--thread',
				'cli',
			);
			assert.deepEqual([answer.status, answer.thread_id, answer.result.rows], ['succeeded', 'cli', [[6_417]]]);
		});

		test('runs are listed, shown, run again and exported; evidence is checked by run and by file', async () => {
			const {run_id} = await json<ChatResponse>(
				'run',
				'-d',
				'support',
				'--sql',
				'SELECT priority, 1 AS one FROM tickets LIMIT 3',
			);
			const {runs} = await json<{runs: {run_id: string}[]}>('runs', 'list', '-n', '5');
			assert.ok(runs.some((each) => each.run_id === run_id));
			assert.equal((await json<Capsule>('runs', 'show', run_id)).status, 'succeeded');
			assert.notEqual((await json<ChatResponse>('runs', 'rerun', run_id)).run_id, run_id);

			const exported = await json<{path: string; sha256: string}>('runs', 'export', run_id, '-o', 'three.csv');
			const bytes = readFileSync(exported.path);
			assert.equal(exported.sha256, createHash('sha256').update(bytes).digest('hex'));
			assert.equal(bytes.toString().trim().split(/\r?\n/).length, 4);

			const checked = await run('evidence', 'verify', run_id);
			assert.deepEqual([checked.exit, checked.err], [0, '']);
			const {path: file} = await json<{path: string}>('evidence', 'export', run_id, '-o', 'evidence.json');
			const offline = await runWrit(['evidence', 'verify', file, '--json'], {
				cwd,
				env: {WRIT_DATA_DIR: path.join(cwd, 'nothing-here')},
			});
			assert.deepEqual([offline.exit, (JSON.parse(offline.out) as Verification).verdict], [0, 'valid']);
			writeFileSync(file, readFileSync(file, 'utf8').replace('priority', 'priorit1'));
			assert.equal((await run('evidence', 'verify', file)).exit, 1);
			writeFileSync(file, 'nothing');
			assert.equal((await run('evidence', 'verify', file)).exit, 2);
		});

		test('datasets are added from CSV, JSON, XLSX and Parquet, listed and shown', async () => {
			await writeFiles();
			for (const format of ['csv', 'json', 'parquet', 'xlsx']) {
				const id = `cities_${format}`;
				const added = await run('datasets', 'add', `cities.${format}`, '--id', id, '--json');
				assert.equal(added.exit, 0, `${format}: ${added.err}`);
				const {rows} = (await json<ChatResponse>('run', '-d', id, '--sql', 'SELECT name, people FROM cities ORDER BY people'))
					.result;
				assert.deepEqual(
					rows,
					[
						['Ghent', 265_000],
						['Zürich', 443_000],
					],
					format,
				);
			}
			const {datasets} = await json<{datasets: {id: string}[]}>('datasets', 'list');
			assert.ok(['support', 'cities_csv', 'cities_xlsx'].every((id) => datasets.some((each) => each.id === id)));
			const shown = await run('datasets', 'show', 'cities_csv');
			assert.match(shown.out, /people/);
		});

		test('doctor says what is here and what is missing', async () => {
			const {exit, out, err} = await run('doctor', '--json');
			assert.equal(err, '');
			const {ok, checks} = JSON.parse(out) as {ok: boolean; checks: {name: string; ok: boolean; required: boolean}[]};
			assert.equal(exit, ok ? 0 : 1);
			assert.ok(
				checks.filter(({required}) => required).every((check) => check.ok),
				out,
			);
			for (const name of ['store', 'sandbox', 'isolation', 'python', 'model'])
				assert.ok(
					checks.some((check) => check.name === name),
					name,
				);
		});

		for (const [args, exit, said] of [
			[['ask', 'SQL: SELECT 1', '-d', 'nope'], 4, /not_found/],
			[['runs', 'show', 'run_none'], 4, /not_found/],
			[['evidence', 'verify', 'run_none'], 4, /not_found/],
			[['run', '-d', 'support', '--sql', 'SELECT nothing FROM tickets'], 1, /^$/],
			[['run', '-d', 'support', '--sql', "SELECT * FROM read_text('/etc/passwd')"], 3, /^$/],
			[['datasets', 'add', 'there-is-no-such.csv'], 2, /unreadable_file|no such file/],
			[['nonsense'], 2, /unknown command/],
		] as const) {
			test(`writ ${args.join(' ')} exits ${exit}`, async () => {
				const ran = await run(...args);
				assert.equal(ran.exit, exit, ran.out + ran.err);
				assert.match(ran.err, said);
			});
		}
	});
}

test('every command explains itself, without a server and at once', async () => {
	for (const args of [
		[],
		['serve'],
		['ask'],
		['run'],
		['datasets'],
		['datasets', 'add'],
		['runs'],
		['runs', 'export'],
		['approvals'],
		['evidence', 'verify'],
		['doctor'],
	]) {
		const {exit, out, err} = await runWrit([...args, '--help'], {env: {WRIT_DATA_DIR: '/nowhere'}});
		assert.deepEqual([exit, err], [0, ''], args.join(' '));
		assert.match(out, /^Usage: writ/);
	}
});

test('the samples are made once, and every row of them is examined on request', async (t) => {
	const env = {...NO_SERVER, WRIT_DATA_DIR: freshData(t, dataDir)};
	const {out} = await runWrit(['datasets', 'samples', '--json'], {env});
	const {datasets} = JSON.parse(out) as {datasets: {id: string; rows: number; added: boolean}[]};
	assert.deepEqual(
		datasets.map(({id, rows, added}) => [id, rows, added]),
		[
			['ecommerce', 13_526, false],
			['support', 6_417, false],
			['sensors', 49_950, false],
		],
	);
	const verified = await runWrit(['datasets', 'verify', 'support', '--json'], {env});
	const {ok, checks} = JSON.parse(verified.out) as {ok: boolean; checks: unknown[]};
	assert.deepEqual([verified.exit, ok], [0, true], verified.out);
	assert.ok(checks.length > 3);
});

test('a server without datasets is ready and says how to add some; the samples are added where it keeps its own', async (t) => {
	const fresh = await startWrit(t, {dataDir: freshData(t), env: {SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0'}});
	const state = async () => {
		const {status, body} = await fresh.get<{components: {name: string; why: string}[]}>('/readyz');
		return [status, body.components.find(({name}) => name === 'datasets')?.why];
	};
	assert.deepEqual(await state(), [200, 'there are none yet']);

	const elsewhere = freshData(t);
	const env = {WRIT_URL: fresh.url, WRIT_DATA_DIR: elsewhere};
	const added = await runWrit(['datasets', 'samples'], {env});
	assert.deepEqual([added.exit, added.out.includes(`in ${fresh.url}:\n`)], [0, true], added.err);
	const again = JSON.parse((await runWrit(['datasets', 'samples', '--json'], {env})).out) as {datasets: {added: boolean}[]};
	assert.deepEqual(
		again.datasets.map((sample) => sample.added),
		[false, false, false],
	);
	assert.deepEqual([readdirSync(elsewhere), readdirSync(path.join(fresh.dataDir, 'uploads'))], [[], []]);
	assert.deepEqual(await state(), [200, 'ecommerce, sensors, support']);

	const [file = ''] = globSync('datasets/local/support/*/*.parquet', {cwd: fresh.dataDir});
	rmSync(path.join(fresh.dataDir, file));
	const [status, why] = await state();
	assert.deepEqual([status, /support/.test(String(why))], [503, true], String(why));
});

test('a setting that is wrong is named, with where it came from', async () => {
	const {exit, err} = await runWrit(['doctor'], {env: {MAX_ROWS: 'many', WRIT_DATA_DIR: dataDir}});
	assert.equal(exit, 2);
	assert.match(err, /invalid_config.*MAX_ROWS/s);
});

test('a server that is not there is said to be not there', async () => {
	const {exit, err} = await runWrit(['runs'], {env: {WRIT_URL: 'http://127.0.0.1:1'}});
	assert.deepEqual([exit, /not_ready: no server answers/.test(err)], [1, true], err);
});

async function writeFiles(): Promise<void> {
	writeFileSync(path.join(cwd, 'cities.csv'), 'name;people\nGhent;265000\nZürich;443000\n');
	writeFileSync(
		path.join(cwd, 'cities.json'),
		JSON.stringify([
			{name: 'Ghent', people: 265_000},
			{name: 'Zürich', people: 443_000},
		]),
	);
	const instance = await DuckDBInstance.create(':memory:');
	const connection = await instance.connect();
	await connection.run(`COPY (SELECT * FROM (VALUES ('Ghent', 265000), ('Zürich', 443000)) t(name, people))
		TO '${path.join(cwd, 'cities.parquet')}' (FORMAT parquet)`);
	connection.closeSync();
	instance.closeSync();
	const sql = "SELECT * FROM (VALUES ('Ghent', 265000), ('Zürich', 443000)) t(name, people)";
	const {run_id} = await writ.ask(`SQL: ${sql}`);
	const workbook = await writ.request(`/runs/${run_id}/export?format=xlsx`);
	writeFileSync(path.join(cwd, 'cities.xlsx'), Buffer.from(await workbook.arrayBuffer()));
}
