/** A stop that the store refuses acts at once where it was asked for, says so, and is recorded as soon as the store works. */
import assert from 'node:assert/strict';
import {execFileSync, spawnSync} from 'node:child_process';
import path from 'node:path';
import {test} from 'node:test';
import {createKillSwitch, INITIAL, type Modes} from '#agents/kill-switch.ts';
import {WritError} from '#contract/errors.ts';
import type {ModeReply} from '#contract/mode.ts';
import {OWNER, wholePlatform} from './platform.ts';
import {atEnd, eventually, freshData, ROOT, runWrit, type Scope, startWrit} from './server.ts';

type Shown = ModeReply & {readonly error?: {readonly code: string; readonly message: string; readonly hint: string}};

/** A kill switch of its own on a real store, which refuses what it is asked to record until `store.works`. */
async function refused(scope: Scope) {
	const {platform} = await wholePlatform(scope);
	const {kernel, store: durable, runs} = platform;
	const store = {works: false, asked: 0};
	const record: typeof runs.record = async (...given) => {
		store.asked += 1;
		if (store.works) return runs.record(...given);
		throw new WritError('store_unavailable', 'the disk is full');
	};
	const holder: {state: Modes} = {state: INITIAL};
	const own = {defaults: () => [], software: 'writ test', needsSecond: () => false};
	const create = (of: {state: Modes}) => createKillSwitch({...own, holder: of, store: durable, runs: {...runs, record}, kernel});
	return {store, holder, killSwitch: await create(holder), restart: () => create({state: INITIAL}), other: platform.killSwitch};
}

test('a stop the store refuses is in force here, is said not to be on record, and is recorded when the store works', async (t) => {
	const {store, holder, killSwitch, restart, other} = await refused(t);
	await assert.rejects(killSwitch.change({mode: 'observe', reason: 'a drill'}, OWNER), {
		code: 'store_unavailable',
		message: /in force on this server and not on record/,
	});
	assert.deepEqual([holder.state.mode, holder.state.held, other.state().mode], ['observe', true, 'execute']);
	await eventually('another try', () => store.asked > 2 || undefined);
	store.works = true;
	await eventually('record', () => !killSwitch.state().held || undefined);
	const {mode, reason, number, by} = killSwitch.state();
	assert.deepEqual([mode, reason, number, by], ['observe', 'a drill', 1, OWNER]);
	await eventually('other server that stops', () => other.state().mode === 'observe' || undefined);
	await killSwitch.close();
	const again = await restart();
	assert.equal(again.state().mode, 'observe');
	await again.close();
	const {asked} = store;
	await other.change({mode: 'execute', reason: 'over'}, OWNER);
	assert.deepEqual([other.state().mode, store.asked], ['execute', asked], 'it is recorded once');
});

test('a server that ends tries once more', async (t) => {
	const {store, killSwitch, restart} = await refused(t);
	await assert.rejects(killSwitch.change({mode: 'observe', reason: 'a drill', scope: {tool: 'code.*'}}, OWNER));
	store.works = true;
	await killSwitch.close();
	const again = await restart();
	assert.deepEqual(
		again.state().scoped.map(({mode, scope, held}) => [mode, scope, held]),
		[['observe', {tool: 'code.*', tenant: 'local'}, undefined]],
	);
	await again.close();
});

test('what is not on record cannot be undone, and several stops are all recorded', async (t) => {
	const {store, killSwitch} = await refused(t);
	const stop = (tool: string) => killSwitch.change({mode: 'observe', reason: '', scope: {tool}}, OWNER);
	await Promise.all(['a', 'b', 'c'].map((tool) => assert.rejects(stop(tool), {code: 'store_unavailable'})));
	await assert.rejects(killSwitch.change({mode: 'execute', reason: '', scope: {tool: 'a'}}, OWNER), {
		code: 'store_unavailable',
		message: /only what is on record can be undone/,
	});
	store.works = true;
	await eventually('record of all', () => killSwitch.state().number === 3 || undefined);
	await killSwitch.change({mode: 'execute', reason: '', scope: {tool: 'a'}}, OWNER);
	const left = killSwitch.state().scoped.map(({scope, held}) => [scope.tool, held]);
	assert.deepEqual(left.toSorted(), [
		['b', undefined],
		['c', undefined],
	]);
	await killSwitch.close();
});

test('while PostgreSQL is away one of two servers is stopped; when it is back both are, and so is a restart', {
	skip: noPostgres(),
}, async (t) => {
	const {url, dir} = postgres(t);
	const env = {STORAGE_PROVIDER: 'postgres', DATABASE_URL: url, WRIT_POOL_SIZE: '0'};
	const start = () => startWrit(t, {dataDir: freshData(t), until: 'listening', env});
	const [one, other] = [await start(), await start()];
	postgresTo('halt', dir);
	const {status, body} = await one.post<Shown>('/api/v1/kill-switch', {reason: 'a drill'});
	assert.deepEqual([status, body.error?.code], [503, 'store_unavailable']);
	const shown = (await one.get<Shown>('/api/v1/kill-switch')).body;
	assert.deepEqual([shown.mode, shown.held], ['observe', true]);
	const {out} = await runWrit(['mode'], {env: {WRIT_URL: one.url}});
	assert.match(out, /^observe, set by local at .*: a drill \(not on record yet: in force on this server only\)\n$/);
	assert.equal((await other.get<Shown>('/api/v1/kill-switch')).body.mode, 'execute');
	postgresTo('resume', dir);
	await eventually('other server that stops', async () => {
		return (await other.get<Shown>('/api/v1/kill-switch')).body.mode === 'observe' || undefined;
	});
	assert.equal((await one.get<Shown>('/api/v1/kill-switch')).body.held, undefined);
	await one.stop('SIGKILL');
	assert.equal((await (await start()).get<Shown>('/api/v1/kill-switch')).body.mode, 'observe');
});

const SCRIPT = path.join(ROOT, 'scripts/postgres.sh');
const postgresTo = (what: string, dir: string) => execFileSync(SCRIPT, [what, dir], {stdio: 'ignore'});

function noPostgres(): string | false {
	const {status} = spawnSync('sh', ['-c', 'ls /usr/lib/postgresql/*/bin/postgres'], {stdio: 'ignore'});
	if (status === 0 || process.env.REQUIRE_POSTGRES || process.env.CI) return false;
	return 'PostgreSQL is not installed: apt-get install postgresql';
}

function postgres(scope: Scope): {readonly url: string; readonly dir: string} {
	const said = execFileSync(SCRIPT, ['start'], {encoding: 'utf8'});
	const [, url = ''] = /^DATABASE_URL=(.*)$/m.exec(said) ?? [];
	const [, dir = ''] = /^PGDIR=(.*)$/m.exec(said) ?? [];
	atEnd(scope, () => void postgresTo('stop', dir));
	return {url, dir};
}
