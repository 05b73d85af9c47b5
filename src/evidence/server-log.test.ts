import assert from 'node:assert/strict';
import {copyFileSync, cpSync, globSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import type {SignedHead} from '#contract/event.ts';
import {exportBundle} from './bundle.ts';
import {openKeyring, rotateKey} from './keyring.ts';
import {signHead} from './keys.ts';
import {finishedRun} from './sample-run.ts';
import {createServerLog} from './server-log.ts';
import {verifyBundle} from './verify-bundle.ts';
import {verifyLog} from './verify-server-log.ts';

const CLOCK = {now: () => new Date('2026-03-02T00:00:00.000Z')};

async function world(t: {after(work: () => void): void}) {
	const root = mkdtempSync(path.join(tmpdir(), 'writ-log-'));
	t.after(() => rmSync(root, {recursive: true}));
	const at = (name: string) => path.join(root, name);
	const keyring = await openKeyring(at('data/keys'));
	const heads: SignedHead[] = [];
	const store = {
		heads: async (from: number, limit: number) => heads.slice(from, from + limit),
		async headPosition(runId: string) {
			const index = heads.findIndex((head) => head.runId === runId);
			return index === -1 ? null : index;
		},
	};
	const finish = (runId: string, hash = runId.padStart(64, '0')) =>
		heads.push(signHead(keyring.current(), {runId, seq: 3, hash, at: CLOCK.now().toISOString()}));
	const open = (anchor: string | null = at('elsewhere/checkpoints'), directory = at('data/log')) =>
		createServerLog({store, keyring, directory, anchor});
	const files = (directory = at('data/log')) =>
		new Map(
			globSync('**/*', {cwd: directory})
				.filter((name) => statSync(path.join(directory, name)).isFile())
				.map((name) => [name, readFileSync(path.join(directory, name))]),
		);
	const anchored = () => readFileSync(at('elsewhere/checkpoints'), 'utf8');
	return {at, keyring, heads, finish, open, files, anchored};
}

function found({verdict, position, checks}: ReturnType<typeof verifyLog>) {
	return [verdict, position, checks.filter(({passed}) => !passed).map(({name}) => name)];
}

test('a log grows over the edges of its tiles, and every size of it is signed and anchored', async (t) => {
	const {finish, open, files, anchored} = await world(t);
	const log = open();
	for (const [count, tiles] of [
		[1, ['tile/0/000.p/1', 'tile/entries/000.p/1']],
		[255, ['tile/0/000.p/255', 'tile/entries/000.p/255']],
		[256, ['tile/0/000', 'tile/1/000.p/1', 'tile/entries/000']],
		[260, ['tile/0/000', 'tile/0/001.p/4', 'tile/1/000.p/1', 'tile/entries/000', 'tile/entries/001.p/4']],
	] as const) {
		for (let n = anchoredSizes(files()).length; n < count; n += 1) finish(`r${n}`);
		assert.equal(await log.sync(), null);
		assert.deepEqual([...files().keys()].filter((name) => name.startsWith('tile/')).sort(), tiles);
		const result = verifyLog(files(), {anchor: anchored()});
		assert.deepEqual([result.verdict, result.events], ['valid', count]);
	}
	assert.deepEqual(
		anchoredSizes(files()),
		Array.from({length: 260}, (_, index) => index + 1),
	);
});

function anchoredSizes(files: ReadonlyMap<string, Buffer>): number[] {
	const lines = String(files.get('checkpoints') ?? '')
		.split('\n')
		.filter(Boolean);
	return lines.map((line) => Number(JSON.parse(line).split('\n')[1]));
}

test('a log that is opened again goes on where it was', async (t) => {
	const {finish, open, files, anchored} = await world(t);
	for (const runId of ['a', 'b', 'c']) {
		finish(runId);
		assert.equal(await open().sync(), null);
	}
	assert.deepEqual(anchoredSizes(files()), [1, 2, 3]);
	assert.equal(verifyLog(files(), {anchor: anchored()}).verdict, 'valid');
	assert.equal(anchored(), String(files().get('checkpoints')));
});

test('a log that was cut is found by its anchor alone, and the first missing run is named', async (t) => {
	const {at, finish, open, files, anchored, heads} = await world(t);
	finish('a');
	await open().sync();
	cpSync(at('data/log'), at('old'), {recursive: true});
	for (const runId of ['b', 'c']) finish(runId);
	await open().sync();
	assert.equal(verifyLog(files(at('old')), {}).verdict, 'valid');
	assert.deepEqual(found(verifyLog(files(at('old')), {anchor: anchored()})), ['tampered', 2, ['anchor']]);
	rmSync(at('data/log'), {recursive: true});
	heads.splice(1);
	assert.match((await open().sync()) ?? '', /it has seen 3 finished runs, and the store has 1: the log was cut/);
	assert.equal((await open().state()).kind, 'forked');
});

test('a log that was rewritten is found by its anchor alone, and the first other run is named', async (t) => {
	const {at, finish, open, files, anchored, heads} = await world(t);
	for (const runId of ['a', 'b', 'c']) finish(runId);
	await open().sync();
	const kept = anchored();
	rmSync(at('data/log'), {recursive: true});
	heads.splice(1);
	for (const runId of ['x', 'y', 'z']) finish(runId);
	const fork = open(null);
	assert.equal(await fork.sync(), null);
	assert.equal(verifyLog(files(), {}).verdict, 'valid');
	assert.deepEqual(found(verifyLog(files(), {anchor: kept})), ['tampered', 2, ['anchor']]);
	assert.match((await open().sync()) ?? '', /another root when its size was 2: it was rewritten/);
	assert.equal(anchored(), kept);
});

test('any byte of a log’s tiles, checkpoint and keys counts', async (t) => {
	const {finish, open, files} = await world(t);
	for (const runId of ['a', 'b', 'c']) finish(runId);
	await open().sync();
	const whole = files();
	for (const [name, bytes] of whole) {
		if (name === 'checkpoints') continue;
		for (let at = 0; at < bytes.length; at += 1) {
			const copy = Buffer.from(bytes);
			copy[at] = (copy[at] ?? 0) ^ 1;
			assert.equal(verifyLog(new Map(whole).set(name, copy), {}).verdict, 'tampered', `byte ${at} of ${name}`);
		}
	}
	for (const name of whole.keys())
		if (name !== 'checkpoints')
			assert.notEqual(verifyLog(new Map([...whole].filter(([each]) => each !== name)), {}).verdict, 'valid', name);
	assert.equal(verifyLog(whole, {anchor: ''}).verdict, 'cannot_tell');
});

test('a log says whether it is anchored, and that its own directory is no anchor', async (t) => {
	const {at, finish, open} = await world(t);
	finish('a');
	assert.equal((await open(null).state()).kind, 'none');
	assert.equal((await open(at('data/copy'))).state === undefined, false);
	assert.equal((await open(at('data/copy')).state()).kind, 'inside');
	assert.equal((await open().state()).kind, 'anchored');
});

test('a disk that was full for a moment leaves a log that is whole', async (t) => {
	const {at, finish, open, files} = await world(t);
	finish('a');
	const log = open();
	writeFileSync(at('data/log'), 'in the way');
	await assert.rejects(log.sync());
	rmSync(at('data/log'));
	finish('b');
	assert.equal(await log.sync(), null);
	assert.deepEqual([verifyLog(files(), {}).events, anchoredSizes(files())], [2, [1, 2]]);
	truncateSync(at('data/log/checkpoint'), 0);
	assert.equal(verifyLog(files(), {}).verdict, 'tampered');
});

test('a bundle has the run’s place in the log of all runs: forks and old checkpoints are found by the anchor', async (t) => {
	const {at, keyring, heads, open, finish, anchored} = await world(t);
	finish('before');
	const run = await finishedRun(keyring.current(), 'run_1');
	heads.push(run.head);
	const log = open();
	await log.sync();
	const bundle = async (place = log.place) =>
		exportBundle('run_1', {store: run.store, key: keyring.current(), keys: keyring.records(), place});
	const one = await bundle();
	finish('after');
	await log.sync();
	assert.deepEqual([...(await bundle())], [...one]);
	assert.equal(verifyBundle(one, {anchor: anchored()}).verdict, 'valid');

	heads[0] = signHead(keyring.current(), {runId: 'before', seq: 3, hash: 'f'.repeat(64), at: CLOCK.now().toISOString()});
	const fork = open(null, at('fork'));
	await fork.sync();
	const forked = await bundle(fork.place);
	assert.equal(verifyBundle(forked).verdict, 'valid');
	assert.deepEqual(found(verifyBundle(forked, {anchor: anchored()})), ['tampered', null, ['anchor']]);
	const older = anchored().split('\n')[0] ?? '';
	assert.deepEqual(found(verifyBundle(one, {anchor: older})), ['cannot_tell', null, ['anchor']]);
	assert.equal(verifyBundle(await bundle(async () => null), {anchor: anchored()}).verdict, 'cannot_tell');
});

test('what an old key signed stays verifiable after a rotation, from either key; a revoked one needs the anchor', async (t) => {
	const {at, keyring, heads, open, anchored} = await world(t);
	const old = keyring.current();
	copyFileSync(at('data/keys/signing.pem'), at('stolen.pem'));
	const run = await finishedRun(old, 'run_1');
	heads.push(run.head);
	await open().sync();
	const rotated = await rotateKey(at('data/keys'), {revoke: null, clock: CLOCK});
	assert.deepEqual([keyring.current().keyId, keyring.records().length], [rotated.keyId, 2]);
	const bundle = async () =>
		exportBundle('run_1', {store: run.store, key: keyring.current(), keys: keyring.records(), place: open().place});
	for (const trustedKeyId of [old.keyId, rotated.keyId])
		assert.equal(verifyBundle(await bundle(), {trustedKeyId}).verdict, 'valid');
	assert.equal(readFileSync(at('data/keys/signing.pem'), 'utf8') === readFileSync(at('stolen.pem'), 'utf8'), false);

	await rotateKey(at('data/keys'), {revoke: null, clock: CLOCK});
	const stranger = await openKeyring(at('other/keys'));
	assert.equal(verifyBundle(await bundle(), {trustedKeyId: stranger.current().keyId}).verdict, 'cannot_tell');
	assert.equal(verifyBundle(await bundle(), {anchor: anchored()}).verdict, 'valid');
});

test('a run that only a revoked key vouches for is told so, unless it was anchored', async (t) => {
	const {at, keyring, heads, open, anchored} = await world(t);
	const run = await finishedRun(keyring.current(), 'run_1');
	heads.push(run.head);
	await open().sync();
	await rotateKey(at('data/keys'), {revoke: 'a laptop was stolen', clock: CLOCK});
	const bundle = await exportBundle('run_1', {
		store: run.store,
		key: keyring.current(),
		keys: keyring.records(),
		place: open().place,
	});
	assert.deepEqual(found(verifyBundle(bundle)), ['cannot_tell', null, ['revoked key']]);
	assert.deepEqual(found(verifyBundle(bundle, {anchor: anchored()})), ['valid', null, []]);
	const forgery = new Map(bundle).set('keys.json', Buffer.from(String(bundle.get('keys.json')).replace('stolen', 'sold')));
	assert.equal(verifyBundle(forgery).verdict, 'tampered');
});
