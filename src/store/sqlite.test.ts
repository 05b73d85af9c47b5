import assert from 'node:assert/strict';
import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, open, readdir, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {DatabaseSync} from 'node:sqlite';
import {after, before, test} from 'node:test';
import {fileURLToPath} from 'node:url';
import {batch, intent, message, started} from './sample-run.ts';
import {openSqlite} from './sqlite.ts';
import {ALL} from './test-stores.ts';

const WRITER = fileURLToPath(new URL('./sample-writer.ts', import.meta.url));
/** A process that mounts what it likes, which is gone when it ends. */
const mounting = {command: 'unshare', options: ['--map-root-user', '--mount']};
const noMounts =
	spawnSync(mounting.command, [...mounting.options, 'true']).status === 0 ? false : 'this machine allows no mount namespaces';

const place = {dir: ''};
before(async () => {
	place.dir = await mkdtemp(join(tmpdir(), 'writ-sqlite-'));
});
after(() => rm(place.dir, {recursive: true}));

const file = (name: string) => join(place.dir, name);
const unavailable = (message: string) => ({name: 'WritError', code: 'store_unavailable', message});

function linesOf(child: ChildProcess): AsyncIterator<string> {
	assert.ok(child.stdout);
	return createInterface({input: child.stdout})[Symbol.asyncIterator]();
}

/** Reads lines until one starts with `word`; gives that one, and the number of lines before it. */
async function until(lines: AsyncIterator<string>, word: string): Promise<{rest: string; before: number}> {
	for (let before = 0; ; before += 1) {
		const {value, done} = await lines.next();
		assert.equal(done, undefined === value ? done : false, `the writer ended before it said \`${word}\``);
		if (value.startsWith(word)) return {rest: value.slice(word.length + 1), before};
	}
}

for (const acknowledgements of [1, 7, 40])
	test(`what was acknowledged survives a kill after ${acknowledgements} appends, and nothing is half-written`, async () => {
		const path = file('killed.db');
		const runId = `run${acknowledgements}`;
		const writer = spawn(process.execPath, [WRITER, path, runId]);
		const lines = linesOf(writer);
		let acknowledged = 0;
		for (let n = 0; n < acknowledgements; n += 1) acknowledged = Number((await until(lines, 'ack')).rest);
		writer.kill('SIGKILL');
		await once(writer, 'close');
		for (let next = await lines.next(); !next.done; next = await lines.next()) acknowledged = Number(next.value.slice(4));

		const store = await openSqlite(path);
		const events = await store.read(runId);
		const run = await store.run(runId);
		const thread = (await store.threads('local', 200)).find(({threadId}) => threadId === runId);
		// One append can have become durable without its acknowledgement getting out.
		assert.ok(events.length === acknowledged || events.length === acknowledged + 2);
		assert.deepEqual({seq: run?.seq, messages: thread?.messages}, {seq: events.length, messages: events.length / 2});
		await store.close();
	});

test('a full disk refuses appends, keeps what it has, and is used again once there is room', {skip: noMounts}, async () => {
	const path = file('full.db');
	const filler = file('filler');
	const script = 'mount -t tmpfs -o size=2m none "$1" && head -c 1500000 /dev/zero > "$4" && exec "$5" "$2" "$3" full "$4"';
	const writer = spawn(mounting.command, [
		...mounting.options,
		'sh',
		'-c',
		script,
		'sh',
		place.dir,
		WRITER,
		path,
		filler,
		process.execPath,
	]);
	const lines = linesOf(writer);
	const refused = await until(lines, 'error');
	writer.stdin.write('\n');
	const end = await until(lines, 'end');

	assert.ok(refused.before > 0);
	assert.deepEqual(JSON.parse(refused.rest), {
		code: 'store_unavailable',
		message: 'the disk of the database is full',
		retry: 'later',
		hint: 'free space on it; writ goes on by itself',
		details: {},
	});
	const acknowledged = (refused.before + 10) * 2;
	assert.deepEqual(JSON.parse(end.rest), {acknowledged, events: acknowledged, messages: acknowledged / 2});
});

test('a database on a disk that cannot be written to is refused with what to do', {skip: noMounts}, async () => {
	const path = file('readonly.db');
	await (await openSqlite(path)).close();
	const script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$4" "$2" "$3" run';
	const writer = spawn(mounting.command, [
		...mounting.options,
		'sh',
		'-c',
		script,
		'sh',
		place.dir,
		WRITER,
		path,
		process.execPath,
	]);
	const {rest} = await until(linesOf(writer), 'error');
	const hint = 'check that its directory exists and that both may be written to';
	const error = {code: 'store_unavailable', message: 'the database file cannot be opened', retry: 'later', hint, details: {}};
	assert.deepEqual(JSON.parse(rest), error);
});

test('a file that is no database is refused', async () => {
	await writeFile(file('text.db'), 'this is not a database, whatever its name says. '.repeat(200));
	await assert.rejects(openSqlite(file('text.db')), unavailable('the file is not a database'));
});

test('the database of another program is refused and left alone', async () => {
	const other = new DatabaseSync(file('other.db'));
	other.exec('CREATE TABLE cookies (id INTEGER)');
	await assert.rejects(openSqlite(file('other.db')), unavailable('the file is the database of another program'));
	assert.deepEqual(
		other
			.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
			.all()
			.map(({name}) => name),
		['cookies'],
	);
	other.close();
});

test('a directory that does not exist is refused', async () => {
	await assert.rejects(openSqlite(file('missing/writ.db')), unavailable('the database file cannot be opened'));
});

test('a store that is no file is refused', async () => {
	await assert.rejects(openSqlite(':memory:'), {code: 'invalid_config'});
});

test('a damaged file is reported, not read', async () => {
	const path = file('damaged.db');
	const first = await openSqlite(path);
	await first.append(batch({runId: 'r', expectedSeq: 0}, started(), message('user', 'x'.repeat(200_000))));
	await first.close();
	const handle = await open(path, 'r+');
	const {size} = await handle.stat();
	await handle.write(Buffer.alloc(size - 4096, 0xa5), 0, size - 4096, 4096);
	await handle.close();
	await assert.rejects(async () => {
		const store = await openSqlite(path);
		try {
			await store.read('r');
		} finally {
			await store.close();
		}
	}, unavailable('the database is damaged'));
});

test('while another process holds the write lock, reads and timers go on and appends wait', async () => {
	const path = file('locked.db');
	const store = await openSqlite(path);
	await store.append(batch({runId: 'r', expectedSeq: 0}, started()));
	const other = new DatabaseSync(path);
	other.exec('BEGIN IMMEDIATE');

	const order: string[] = [];
	const append = store.append(batch({runId: 'r', expectedSeq: 1}, intent())).then(() => order.push('appended'));
	order.push(`read ${(await store.runs(ALL)).rows.length}`);
	other.exec('ROLLBACK');
	await append;
	assert.deepEqual(order, ['read 1', 'appended']);
	other.close();
	await store.close();
});

test('an append after the store was closed is refused', async () => {
	const store = await openSqlite(file('closed.db'));
	await store.close();
	await assert.rejects(store.append(batch({runId: 'r', expectedSeq: 0}, started())), {code: 'store_unavailable'});
});

test('nobody but its owner can read a new database', async () => {
	const store = await openSqlite(file('private.db'));
	await store.append(batch({runId: 'r', expectedSeq: 0}, started()));
	const names = (await readdir(place.dir)).filter((name) => name.startsWith('private.db'));
	const modes = await Promise.all(names.map(async (name) => [name, ((await stat(file(name))).mode & 0o777).toString(8)]));
	await store.close();
	assert.deepEqual(Object.fromEntries(modes), {
		'private.db': '600',
		'private.db-bell': '600',
		'private.db-shm': '600',
		'private.db-wal': '600',
	});
});

test('what a server reads by itself loads nothing of Kysely, which makes its start slow and large', () => {
	const starter = fileURLToPath(new URL('./fixtures/starter.ts', import.meta.url));
	const {stdout} = spawnSync(process.execPath, [starter, file('start.db')], {encoding: 'utf8'});
	assert.equal(stdout, '0 true\n');
});
