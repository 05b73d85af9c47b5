import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {
	linkSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {type TestContext, test} from 'node:test';
import {setImmediate as turn} from 'node:timers/promises';
import {collectArtifacts} from './artifacts.ts';

const CAPS = {fileBytes: 1_000, totalBytes: 2_500, files: 4};

function places(t: TestContext): {out: string; keep: string; secret: string} {
	const directory = mkdtempSync(join(tmpdir(), 'writ-artifacts-'));
	t.after(() => rmSync(directory, {recursive: true, force: true}));
	const [out, keep, secret] = ['out', 'keep', 'secret'].map((name) => join(directory, name)) as [string, string, string];
	mkdirSync(out);
	mkdirSync(keep);
	writeFileSync(secret, 'canary');
	return {out, keep, secret};
}

function sha256(text: string | Buffer): string {
	return createHash('sha256').update(text).digest('hex');
}

test('files are kept under their hash, with size, type and name', async (t) => {
	const {out, keep} = places(t);
	mkdirSync(join(out, 'shots'));
	writeFileSync(join(out, 'report.txt'), 'fine\n');
	const png = Buffer.from('89504e470d0a1a0a00', 'hex');
	writeFileSync(join(out, 'shots', 'a.html'), png);
	writeFileSync(join(out, 'empty'), '');
	assert.deepEqual(await collectArtifacts(out, keep, CAPS), {
		artifacts: [
			{name: 'empty', bytes: 0, sha256: sha256(''), mediaType: 'text/plain'},
			{name: 'report.txt', bytes: 5, sha256: sha256('fine\n'), mediaType: 'text/plain'},
			{name: 'shots/a.html', bytes: 9, sha256: sha256(png), mediaType: 'image/png'},
		],
		refused: [],
		unnamed: 0,
	});
	assert.deepEqual(readdirSync(keep).sort(), [sha256(''), sha256('fine\n'), sha256(png)].sort());
	assert.equal(readFileSync(join(keep, sha256('fine\n')), 'utf8'), 'fine\n');
});

test('links, pipes, sockets, devices and files with a second name stay where they are', async (t) => {
	const {out, keep, secret} = places(t);
	symlinkSync(secret, join(out, 'link'));
	symlinkSync('/etc', join(out, 'folder'));
	linkSync(secret, join(out, 'twin'));
	execFileSync('mkfifo', [join(out, 'pipe')]);
	const server = createServer().listen(join(out, 'socket'));
	await new Promise((listening) => server.once('listening', listening));
	const {artifacts, refused} = await collectArtifacts(out, keep, CAPS);
	server.close();
	assert.deepEqual(artifacts, []);
	assert.deepEqual(Object.fromEntries(refused.map(({name, reason}) => [name, reason])), {
		link: 'a link',
		folder: 'a link',
		twin: 'has a second name',
		pipe: 'not a regular file',
		socket: 'not a regular file',
	});
	assert.deepEqual(readdirSync(keep), []);
});

test('a directory that is a link itself is not opened', async (t) => {
	const {out, keep} = places(t);
	symlinkSync('/etc', `${out}-link`);
	await assert.rejects(collectArtifacts(`${out}-link`, keep, CAPS), {code: /ELOOP|ENOTDIR/});
});

test('a sparse file of a terabyte ends at the cap of one file, and leaves nothing behind', async (t) => {
	const {out, keep} = places(t);
	writeFileSync(join(out, 'huge'), '');
	truncateSync(join(out, 'huge'), 2 ** 40);
	const {artifacts, refused} = await collectArtifacts(out, keep, {...CAPS, fileBytes: 5_000_000, totalBytes: 10_000_000});
	assert.deepEqual([artifacts, refused], [[], [{name: 'huge', reason: 'more than 5000000 bytes'}]]);
	assert.deepEqual(readdirSync(keep), []);
});

test('all files together have a cap, and so has their number', async (t) => {
	const {out, keep} = places(t);
	for (const name of ['a', 'b', 'c']) writeFileSync(join(out, name), name.repeat(900));
	const {artifacts, refused} = await collectArtifacts(out, keep, CAPS);
	assert.deepEqual([artifacts.length, refused.map(({reason}) => reason)], [2, ['all together more than 2500 bytes']]);
	for (const name of ['d', 'e', 'f', 'g']) writeFileSync(join(out, name), '');
	const counted = await collectArtifacts(out, keep, {...CAPS, totalBytes: 10_000});
	assert.deepEqual(
		[counted.artifacts.length, new Set(counted.refused.map(({reason}) => reason))],
		[4, new Set(['more than 4 files'])],
	);
});

for (const [title, name] of Object.entries({
	'a line break': 'a\nb',
	'an escape sequence': '\u001b[31mred',
	'an override of the direction of text': 'a\u202etxt.exe',
	'a colon': 'a:b',
	'a backslash': '..\\x',
	'a dot in front': '.bashrc',
	'a hyphen in front': '-rf',
	'a dot at its end': 'a.',
	'a name of a device': 'CON.txt',
	'the length of 260 bytes when it is composed': '\u0958'.repeat(85),
})) {
	test(`a name with ${title} is refused, and shown harmlessly`, async (t) => {
		const {out, keep} = places(t);
		writeFileSync(join(out, name), 'x');
		const {artifacts, refused} = await collectArtifacts(out, keep, CAPS);
		assert.deepEqual([artifacts, refused.length], [[], 1]);
		// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
		assert.doesNotMatch(refused[0]?.name ?? '', /[\u0000-\u001f\u202e]/);
	});
}

test('a name that is not UTF-8 is refused', async (t) => {
	const {out, keep} = places(t);
	writeFileSync(Buffer.concat([Buffer.from(`${out}/`), Buffer.from([0x61, 0xff])]), 'x');
	const {artifacts, refused} = await collectArtifacts(out, keep, CAPS);
	assert.deepEqual([artifacts, refused], [[], [{name: 'a\ufffd', reason: 'a name that is not UTF-8'}]]);
});

test('two spellings of one name are one artifact', async (t) => {
	const {out, keep} = places(t);
	writeFileSync(join(out, 'e\u0301'), 'decomposed');
	writeFileSync(join(out, '\u00e9'), 'composed');
	const {artifacts, refused} = await collectArtifacts(out, keep, CAPS);
	assert.deepEqual(
		[artifacts.map(({name}) => name), refused.map(({reason}) => reason)],
		[['\u00e9'], ['the same name as another file']],
	);
});

test('directories too deep and entries too many are not looked at', async (t) => {
	const {out, keep} = places(t);
	mkdirSync(join(out, ...Array.from({length: 40}, () => 'd')), {recursive: true});
	mkdirSync(join(out, 'many'));
	for (let n = 0; n < 5_100; n++) mkdirSync(join(out, 'many', String(n)));
	const {artifacts, refused, unnamed} = await collectArtifacts(out, keep, CAPS);
	assert.deepEqual([artifacts, unnamed], [[], 0]);
	assert.equal(
		refused.some(({reason}) => reason === 'more than 5000 entries'),
		true,
	);
});

test('while files and directories are swapped for links, nothing outside is ever taken', async (t) => {
	const {out, keep, secret} = places(t);
	const outside = join(secret, '..', 'outside');
	mkdirSync(outside);
	writeFileSync(join(outside, 'f'), 'canary');
	const [file, folder] = [join(out, 'file'), join(out, 'folder')];
	const state = {over: false, swaps: 0};
	const swapping = (async () => {
		for (; !state.over; state.swaps++) {
			for (const [place, target] of [
				[file, secret],
				[folder, outside],
			] as const) {
				symlinkSync(target, `${out}/new-${state.swaps}`);
				rmSync(place, {recursive: true, force: true});
				renameSync(`${out}/new-${state.swaps}`, place);
				await turn();
				rmSync(place);
			}
			writeFileSync(file, 'mine');
			mkdirSync(folder);
			writeFileSync(join(folder, 'f'), 'mine');
			// Now shorter, now longer than it takes to open one and read it.
			for (let held = state.swaps % 20; held >= 0; held--) await turn();
		}
	})();
	const seen = new Set<string>();
	for (let n = 0; n < 300; n++) for (const {sha256: hash} of (await collectArtifacts(out, keep, CAPS)).artifacts) seen.add(hash);
	state.over = true;
	await swapping;
	assert.ok(state.swaps > 100, `${state.swaps} swaps`);
	assert.deepEqual(
		[...seen].filter((hash) => hash !== sha256('mine') && hash !== sha256('')),
		[],
	);
	assert.ok(seen.has(sha256('mine')));
});
