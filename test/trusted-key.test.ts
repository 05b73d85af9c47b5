import assert from 'node:assert/strict';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {exportCapsule} from '#evidence/capsule.ts';
import {loadOrCreateKey} from '#evidence/keys.ts';
import {createTestClock, finishedRun} from '#evidence/sample-run.ts';
import {runWrit} from './server.ts';

test('a run forged whole under a key of its own passes alone, and not beside the platform’s key', async (t) => {
	const dir = await mkdtemp(path.join(tmpdir(), 'writ-key-'));
	t.after(() => rm(dir, {recursive: true}));
	const [ours, forgers] = ['ours.pem', 'forgers.pem'].map((name) => path.join(dir, name)) as [string, string];
	await loadOrCreateKey(ours);
	const key = await loadOrCreateKey(forgers);
	const {store} = await finishedRun(key);
	const file = path.join(dir, 'run_1.json');
	await writeFile(file, (await exportCapsule('run_1', {store, key, clock: createTestClock(), software: 'writ'})).bytes);

	const exitOf = async (...options: string[]) => (await runWrit(['evidence', 'verify', file, ...options])).exit;
	assert.equal(await exitOf(), 0);
	assert.equal(await exitOf('--key', `${forgers}.pub`), 0);
	assert.equal(await exitOf('--key', `${ours}.pub`), 2);
	assert.notEqual(await exitOf('--key', file), 0);
});
