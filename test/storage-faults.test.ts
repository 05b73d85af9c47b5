/** A store that goes away: requests fail clearly, nothing is half-done, and when it is back so is the platform. */
import assert from 'node:assert/strict';
import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {suite, test} from 'node:test';
import type {ChatResponse, ErrorReply} from '#contract/api.ts';
import {
	atEnd,
	eventually,
	freshData,
	ingestedSamples,
	jsonPost,
	ROOT,
	runWrit,
	type Scope,
	startWrit,
	type Writ,
} from './server.ts';

const COUNT = 'SQL: SELECT count(*) AS n FROM tickets';
const SCRIPT = path.join(ROOT, 'scripts/postgres.sh');

suite('a full disk', {skip: cannotMount()}, () => {
	test('requests fail with store_unavailable while it is full, the server lives, and it goes on when there is room', async (t) => {
		const dataDir = await mounted(t, 64);
		const writ = await startWrit(t, {dataDir, env: {WRIT_POOL_SIZE: '1'}});
		assert.equal((await writ.ask(COUNT)).status, 'succeeded');

		const ballast = fill(dataDir);
		const replies = await untilRefused(writ);
		assert.equal((await writ.request('/healthz')).status, 200);
		assert.equal((await writ.request('/readyz')).status, 503);

		rmSync(ballast);
		await eventually('room for the store', async () => ((await writ.request('/readyz')).ok ? true : undefined));
		assert.equal((await writ.ask(COUNT)).status, 'succeeded');
		await assertWhole(writ, replies);
	});
});

suite('a directory that cannot be written', () => {
	test('the server says so at once and does not start', async (t) => {
		const dataDir = path.join(freshData(t), 'file');
		writeFileSync(dataDir, 'this is no directory');
		const {exit, err} = await runWrit(['serve'], {env: {WRIT_DATA_DIR: dataDir, WRIT_PORT: '0'}});
		assert.equal(exit, 2);
		assert.match(err, /^invalid_config: the directory `.*file` cannot be made: there is a file of that name\n +name another/m);
	});

	for (const dataDir of ['/proc/writ', '/proc/writ/deep/er']) {
		test(`${dataDir} is refused, although the file system says that it is only not there yet`, async () => {
			const env = {WRIT_DATA_DIR: dataDir, WRIT_PORT: '1', WRIT_SECRETS_PASSPHRASE: 'several words of it'};
			const message = /^invalid_config: the directory `\/proc\/writ` cannot be made: the file system takes none there$/m;
			for (const command of [['serve'], ['secrets', 'set', 'a'], ['keys', 'list']]) {
				const {exit, err} = await runWrit(command, {env, input: 'a value of it\n'});
				assert.deepEqual([exit, message.test(err)], [2, true], `${command.join(' ')}: ${err}`);
			}
		});
	}

	test('a database of another program is left alone', async (t) => {
		const dataDir = freshData(t);
		writeFileSync(path.join(dataDir, 'writ.db'), 'not a database at all, but long enough to look like a file '.repeat(20));
		const {exit, err} = await runWrit(['serve'], {env: {WRIT_DATA_DIR: dataDir, WRIT_PORT: '0'}});
		assert.deepEqual([exit, /^store_unavailable: /m.test(err)], [1, true], err);
	});

	test('a read-only file system is named when the server starts', {skip: cannotMount()}, async (t) => {
		const dataDir = await mounted(t, 64);
		execFileSync('mount', ['-o', 'remount,ro', dataDir]);
		const {exit, err} = await runWrit(['serve'], {env: {WRIT_DATA_DIR: dataDir, WRIT_PORT: '0'}});
		assert.deepEqual([exit, /^store_unavailable: /m.test(err)], [1, true], err);
	});
});

suite('PostgreSQL', {skip: noPostgres()}, () => {
	test('restarted under load: requests succeed or fail clearly, nothing is half-done, and it recovers by itself', async (t) => {
		const {url, dir} = postgres(t);
		const env = {STORAGE_PROVIDER: 'postgres', DATABASE_URL: url, WRIT_POOL_SIZE: '1'};
		const writ = await startWrit(t, {dataDir: freshData(t, await ingestedSamples()), env});
		assert.equal((await writ.ask(COUNT)).status, 'succeeded');

		const load = {on: true, accepted: new Set<string>(), refused: new Set<string>()};
		const workers = Array.from({length: 4}, () => keepAsking(writ, load));
		await eventually('load', () => (load.accepted.size >= 4 ? true : undefined));
		execFileSync(SCRIPT, ['halt', dir]);
		await eventually('refusals', () => (load.refused.size > 0 ? true : undefined));
		assert.equal((await writ.request('/healthz')).status, 200, 'the server is alive without its store');
		assert.equal((await writ.request('/readyz')).status, 503);
		execFileSync(SCRIPT, ['resume', dir]);
		const before = load.accepted.size;
		await eventually('recovery', () => (load.accepted.size >= before + 4 ? true : undefined));
		load.on = false;
		await Promise.all(workers);

		assert.deepEqual([...load.refused], ['503 store_unavailable']);
		await assertWhole(writ, [...load.accepted]);
	});
});

type Load = {on: boolean; readonly accepted: Set<string>; readonly refused: Set<string>};

async function keepAsking(writ: Writ, load: Load): Promise<void> {
	while (load.on) {
		const {status, body} = await writ.post<ChatResponse & ErrorReply>('/chat', {dataset_id: 'support', message: COUNT});
		if (status === 200) load.accepted.add(body.run_id);
		else load.refused.add(`${status} ${body.error?.code}`);
	}
}

/** Every run that was answered is there and valid; every other has ended too; none ran its action twice. */
async function assertWhole(writ: Writ, answered: readonly string[]): Promise<void> {
	const runs = await eventually('end of every run', async () => {
		const all = (await writ.get<{runs: {run_id: string; status: string}[]}>('/runs?limit=200')).body.runs;
		return all.every(({status}) => status !== 'running') ? all : undefined;
	});
	const known = new Map(runs.map(({run_id, status}) => [run_id, status]));
	assert.deepEqual(
		answered.filter((runId) => known.get(runId) !== 'succeeded'),
		[],
		'a run that was answered is not lost',
	);
	for (const runId of known.keys()) {
		const types = (await writ.events(runId)).map(({type}) => type);
		assert.ok(types.filter((type) => type === 'action.intent').length <= 1, runId);
		assert.equal(types.filter((type) => type === 'run.finished').length, 1, runId);
		assert.equal((await writ.verify(runId)).verdict, 'valid', runId);
	}
	assert.ok(known.size > 0, 'there are runs to look at');
}

/** Asks until it is refused; returns the runs that were answered. */
async function untilRefused(writ: Writ): Promise<readonly string[]> {
	const answered: string[] = [];
	for (let attempt = 0; attempt < 50; attempt += 1) {
		const response = await writ.request('/chat', jsonPost({dataset_id: 'support', message: COUNT}));
		const body = (await response.json()) as ChatResponse & ErrorReply;
		if (response.status === 200) {
			answered.push(body.run_id);
			continue;
		}
		assert.deepEqual([response.status, body.error?.code], [503, 'store_unavailable'], JSON.stringify(body));
		assert.ok(body.error.hint, 'it says what to do');
		return answered;
	}
	throw new Error('the disk is full, and 50 questions were accepted');
}

/** A small file system of its own with the samples on it. */
async function mounted(scope: Scope, mebibytes: number): Promise<string> {
	const samples = await ingestedSamples();
	const directory = freshData(scope);
	execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'writ-test', directory]);
	atEnd(scope, () => {
		spawnSync('umount', ['--lazy', directory]);
	});
	for (const name of readdirSync(samples)) execFileSync('cp', ['-r', path.join(samples, name), directory]);
	return directory;
}

/** Takes all that is left; the file that does so is returned. */
function fill(directory: string): string {
	const ballast = path.join(directory, 'ballast');
	spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4k'], {stdio: 'ignore'});
	assert.ok(existsSync(ballast));
	return ballast;
}

function cannotMount(): string | false {
	const {status} = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'writ-test', '/mnt'], {stdio: 'ignore'});
	return status === 0 ? false : 'mounting a small file system takes root';
}

function noPostgres(): string | false {
	const {status} = spawnSync('sh', ['-c', 'ls /usr/lib/postgresql/*/bin/postgres'], {stdio: 'ignore'});
	if (status === 0 || process.env.REQUIRE_POSTGRES || process.env.CI) return false;
	return 'PostgreSQL is not installed: apt-get install postgresql';
}

function postgres(scope: Scope): {readonly url: string; readonly dir: string} {
	const said = execFileSync(SCRIPT, ['start'], {encoding: 'utf8'});
	const [, url = ''] = /^DATABASE_URL=(.*)$/m.exec(said) ?? [];
	const [, dir = ''] = /^PGDIR=(.*)$/m.exec(said) ?? [];
	atEnd(scope, () => {
		execFileSync(SCRIPT, ['stop', dir], {stdio: 'ignore'});
	});
	return {url, dir};
}
