import assert from 'node:assert/strict';
import {execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {
	existsSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {type TestContext, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import {reclaim, watchOutput} from './output.ts';

/** Any but undefined takes files up as root does, who is the only one that may. */
const ID = process.getuid?.() === 0 ? 1_879_048_200 : undefined;

function place(t: TestContext, above = tmpdir()): string {
	const directory = mkdtempSync(join(above, 'writ-output-'));
	t.after(() => execFileSync('rm', ['-rf', directory]));
	return directory;
}

/** `name` is what a Linux file may be called, and no text. */
function named(directory: string, name: readonly number[]): Buffer {
	return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(name)]);
}

test('files whose names are not text are taken up like any other', async (t) => {
	const out = place(t);
	mkdirSync(named(out, [0xff]));
	writeFileSync(named(out, [0xff, 0x2f, 0xfe]), 'inside');
	writeFileSync(named(out, [0xfe]), 'beside');
	await reclaim(out, ID);
	assert.equal(readFileSync(named(out, [0xff, 0x2f, 0xfe]), 'utf8'), 'inside');
	assert.equal(statSync(named(out, [0xfe])).uid, process.getuid?.());
});

/** The kernel knows no path as long as this; a program gets there step by step. */
const DIG = `
import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[2])):
    os.mkdir(sys.argv[3]); os.chdir(sys.argv[3])
open("file", "w").close()`;

for (const [depth, name] of [
	[60, 'd'.repeat(255)],
	[600, 'd'.repeat(7)],
] as const)
	test(`directories that lie too deep to be named are removed, ${depth} of them`, async (t) => {
		const out = place(t);
		writeFileSync(join(out, 'kept'), 'kept');
		mkdirSync(join(out, 'a/b/c'), {recursive: true});
		execFileSync('python3', ['-I', '-c', DIG, out, String(depth), name]);
		await reclaim(out, ID);
		assert.deepEqual(readdirSync(out).toSorted(), ['a', name, 'kept']);
		assert.ok(existsSync(join(out, 'a/b/c')));
		rmSync(out, {recursive: true});
	});

test('more entries than anybody collects are beyond the limit, however small they are', async (t) => {
	const out = place(t, '/dev/shm'); // on a disk it takes long to make them
	for (let n = 0; n <= 10_000; n += 1) mkdirSync(join(out, String(n)));
	const {promise, resolve} = Promise.withResolvers<string>();
	t.after(watchOutput(out, 1 << 30, () => resolve('exceeded')));
	assert.equal(await Promise.race([promise, delay(5_000, 'unseen', {ref: false})]), 'exceeded');
});

/** Exchanges a directory with a link to another, over and over: renameat2 with RENAME_EXCHANGE. */
const EXCHANGE = `
import ctypes, sys
libc = ctypes.CDLL(None)
here, there = (name.encode() for name in sys.argv[1:])
print(flush=True)
while True: libc.renameat2(-100, here, -100, there, 2)`;

test('a link that takes the place of a directory leads nowhere, however often they change places', async (t) => {
	const [out, victim] = [place(t), place(t)];
	symlinkSync('/nowhere', join(victim, 'link'));
	const changing = spawn('python3', ['-I', '-c', EXCHANGE, join(out, 'a'), join(out, 'b')], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	t.after(() => changing.kill('SIGKILL'));
	await once(changing.stdout, 'data');
	mkdirSync(join(out, 'a'));
	for (let round = 0; round < 2_000; round += 1) {
		for (const name of ['a', 'b']) if (!lstatSync(join(out, name), {throwIfNoEntry: false})) symlinkSync(victim, join(out, name));
		await reclaim(out, ID).catch(() => {}); // it may find that something else is there now
	}
	assert.equal(statSync(victim).mode & 0o777, 0o700);
	assert.deepEqual(readdirSync(victim), ['link']);
});

test('what lies in a directory whose name is not text counts towards the limit', async (t) => {
	const out = place(t);
	mkdirSync(named(out, [0xff]));
	writeFileSync(named(out, [0xff, 0x2f, 0xfe]), Buffer.alloc(100_000, 1));
	const seen = {exceeded: false};
	const stop = watchOutput(out, 50_000, () => {
		seen.exceeded = true;
	});
	t.after(stop);
	for (let waited = 0; !seen.exceeded && waited < 3_000; waited += 50) await delay(50);
	assert.equal(seen.exceeded, true);
});
