/** One corpus of tampering for both verifiers of bundles: whatever is done to a bundle is found, and the place is named. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {hash} from 'node:crypto';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';
import type {TestCase} from '#contract/sandbox.ts';
import {exportBundle} from '#evidence/bundle.ts';
import {type Statement, toEnvelope} from '#evidence/dsse.ts';
import {openKeyring, rotateKey} from '#evidence/keyring.ts';
import {signHead} from '#evidence/keys.ts';
import {finishedRun, sampleKey, testedBodies} from '#evidence/sample-run.ts';
import {createServerLog} from '#evidence/server-log.ts';
import {packTar} from '#evidence/tar.ts';
import {verifyBundle} from '#evidence/verify-bundle.ts';
import {ROOT, runWrit} from './server.ts';

type Files = Map<string, Buffer>;
type Trust = {readonly anchor?: string};
type Found = {readonly verdict: string; readonly file: string | null; readonly position: number | null; readonly said: string};

/** Imported by a name that is not a literal: plain JavaScript has no types to check. */
const {verifyEvidence} = (await import(path.join(ROOT, 'scripts/verify-evidence.mjs'))) as {
	verifyEvidence(
		source: Buffer | Files,
		trust?: Trust,
	): {verdict: string; file: string | null; position: number | null; checks: string[]};
};

const SEAL = 'statements/bundle.dsse.json';
const EVENTS = 'log/events.jsonl';
const CASES: TestCase[] = [{file: 'a.test.ts', name: ['adds'], status: 'passed', durationMs: 1}];

const key = sampleKey();
const [one, two] = (await Promise.all(['run_1', 'run_2'].map(bundleOf))) as [Files, Files];
const archive = packTar(one);
const directory = mkdtempSync(path.join(tmpdir(), 'writ-tamper-'));
after(() => rmSync(directory, {recursive: true}));

const VERIFIERS: Readonly<Record<string, (source: Buffer | Files, trust?: Trust) => Found>> = {
	'the platform’s verifier'(source, trust) {
		const {verdict, file = null, position, checks} = verifyBundle(source, trust);
		return {verdict, file, position, said: checks.map(({detail}) => detail).join('\n')};
	},
	'the second verifier'(source, trust) {
		const {verdict, file, position, checks} = verifyEvidence(source, trust);
		return {verdict, file, position, said: checks.join('\n')};
	},
};

async function bundleOf(runId: string): Promise<Files> {
	const {store} = await finishedRun(key, runId, testedBodies(CASES));
	return new Map(await exportBundle(runId, {store, key}));
}

/** The same, with what `change` does to it. */
function changed(change: (files: Files) => void): Files {
	const files = new Map([...one].map(([name, bytes]) => [name, Buffer.from(bytes)]));
	change(files);
	return files;
}

/** What somebody could do who can sign a seal over anything, but nothing else: the seal does not help here. */
function resealed(files: Files): Files {
	const statement = JSON.parse(Buffer.from(JSON.parse(String(one.get(SEAL))).payload, 'base64').toString()) as Statement;
	const subject = [...files]
		.filter(([name]) => name !== SEAL)
		.map(([name, bytes]) => ({name, digest: {sha256: hash('sha256', bytes)}}))
		.sort((a, b) => (a.name < b.name ? -1 : 1));
	return new Map(files).set(SEAL, Buffer.from(toEnvelope({...statement, subject}, key)));
}

function flipped(bytes: Buffer, at: number): Buffer {
	const copy = Buffer.from(bytes);
	copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
	return copy;
}

function lines(change: (events: string[]) => void) {
	return changed((files) => {
		const events = String(files.get(EVENTS)).trimEnd().split('\n');
		change(events);
		files.set(EVENTS, Buffer.from(events.map((line) => `${line}\n`).join('')));
	});
}

for (const [name, verify] of Object.entries(VERIFIERS)) {
	const detects = (source: Buffer | Files, file: string | null, position: number | null, what: string) => {
		const found = verify(source);
		const place = {
			verdict: found.verdict,
			file: file === null ? null : found.file,
			position: position === null ? null : found.position,
		};
		assert.deepEqual({what, ...place}, {what, verdict: 'tampered', file, position}, found.said);
	};

	test(`${name} accepts the bundle as it was exported`, () => {
		assert.equal(verify(archive).verdict, 'valid');
		assert.equal(verify(one).verdict, 'valid');
		assert.equal(verify(resealed(one)).verdict, 'valid');
	});

	test(`${name} finds every flipped byte of an archive, and names the file`, () => {
		const copy = Buffer.from(archive);
		const owners = ownersOf(one);
		let flips = 0;
		for (let at = 0; at < copy.length; at += 1) {
			const before = copy[at] ?? 0;
			copy[at] = before ^ (1 << (at % 8));
			const {verdict, file, said} = verify(copy);
			copy[at] = before;
			const owner = owners(at);
			const isNamed = owner === null ? /byte \d/.test(said) : file === owner;
			assert.deepEqual({at, verdict, isNamed}, {at, verdict: 'tampered', isNamed: true}, said);
			flips += 1;
		}
		assert.equal(flips, archive.length);
	});

	test(`${name} finds every file that is deleted, doubled, emptied, cut or added`, () => {
		for (const [file, bytes] of one) {
			detects(
				changed((files) => files.delete(file)),
				file,
				null,
				`without ${file}`,
			);
			detects(
				changed((files) => files.set(`${file}.copy`, bytes)),
				`${file}.copy`,
				null,
				`${file} twice`,
			);
			detects(
				changed((files) => files.set(file, Buffer.alloc(0))),
				file,
				null,
				`${file} empty`,
			);
			detects(
				changed((files) => files.set(file, bytes.subarray(0, -1))),
				file,
				null,
				`${file} cut`,
			);
		}
	});

	test(`${name} finds any two files whose contents are exchanged, and any file of another run’s bundle`, () => {
		const names = [...one.keys()];
		for (const a of names)
			for (const b of names) {
				const [left, right] = [one.get(a) as Buffer, one.get(b) as Buffer];
				if (a >= b || left.equals(right)) continue;
				assert.equal(verify(changed((files) => files.set(a, right).set(b, left))).verdict, 'tampered', `${a} for ${b}`);
			}
		for (const [file, bytes] of two) {
			if (bytes.equals(one.get(file) ?? Buffer.alloc(0))) continue;
			assert.equal(verify(changed((files) => files.set(file, bytes))).verdict, 'tampered', `${file} of the other run`);
		}
	});

	test(`${name} finds an archive that is cut at any block, reordered, doubled or longer`, () => {
		for (let end = 512; end < archive.length; end += 512)
			assert.notEqual(verify(archive.subarray(0, end)).verdict, 'valid', `cut at ${end}`);
		const entries = entriesOf(archive);
		const end = Buffer.alloc(1_024);
		for (const [index, entry] of entries.entries()) {
			for (const edited of [entries.toSpliced(index, 1), entries.toSpliced(index, 0, entry)])
				assert.equal(verify(Buffer.concat([...edited, end])).verdict, 'tampered', `entry ${index}`);
			if (index === 0) continue;
			const swapped = entries.with(index, entries[index - 1] as Buffer).with(index - 1, entry);
			assert.equal(verify(Buffer.concat([...swapped, end])).verdict, 'tampered', `entry ${index} before the one before`);
		}
		assert.equal(verify(Buffer.concat([archive, Buffer.alloc(512)])).verdict, 'tampered');
	});

	test(`${name} names the event that was changed, dropped, doubled or moved, with the seal and without`, () => {
		const count = String(one.get(EVENTS)).trimEnd().split('\n').length;
		for (const seal of [(files: Files) => files, resealed])
			for (let at = 0; at < count; at += 1) {
				const edit = (line = '') => line.replace(/"at":"2026/, '"at":"2025');
				detects(seal(lines((events) => void events.splice(at, 1, edit(events[at])))), EVENTS, at + 1, `change ${at + 1}`);
				detects(seal(lines((events) => void events.splice(at, 0, events[at] ?? ''))), EVENTS, at + 2, `double ${at + 1}`);
				const isLast = at === count - 1;
				const dropped = verify(seal(lines((events) => void events.splice(at, 1))));
				assert.deepEqual([dropped.verdict, isLast || dropped.position === at + 1], ['tampered', true], `drop ${at + 1}`);
				if (isLast) continue;
				const moved = lines((events) => void events.splice(at, 2, events[at + 1] ?? '', events[at] ?? ''));
				detects(seal(moved), EVENTS, at + 1, `move ${at + 1}`);
			}
	});

	test(`${name} finds what a seal over it would hide: statements, log and artifacts that are not of the events`, () => {
		const others = (prefix: string) => [...one.keys()].filter((file) => file.startsWith(prefix) && file !== SEAL);
		for (const file of [
			...others('statements/'),
			'log/head.json',
			'log/checkpoint',
			'log/proofs.json',
			...others('log/tile/0'),
			'keys.json',
		]) {
			assert.equal(verify(resealed(changed((files) => files.delete(file)))).verdict, 'tampered', `without ${file}`);
			const bytes = one.get(file) as Buffer;
			for (let at = 0; at < bytes.length; at += 7) {
				const {verdict, said} = verify(resealed(changed((files) => files.set(file, flipped(bytes, at)))));
				assert.equal(verdict, 'tampered', `byte ${at} of ${file}: ${said}`);
			}
		}
		for (const file of [
			...others('statements/'),
			'log/head.json',
			'log/checkpoint',
			'log/proofs.json',
			EVENTS,
			'evidence.json',
		]) {
			const foreign = resealed(changed((files) => files.set(file, two.get(file) as Buffer)));
			assert.equal(verify(foreign).verdict, 'tampered', `${file} of the other run`);
		}
		for (const file of others('artifacts/'))
			assert.equal(verify(resealed(changed((files) => files.set(file, Buffer.from('else'))))).verdict, 'tampered', file);
	});

	test(`${name} finds a log that was forked and a checkpoint that was replayed, by the anchor alone`, async (t) => {
		const {whole, forked, revoked, anchor} = await logged(t);
		const verdicts = (files: Files) =>
			[undefined, anchor].map((text) => verify(files, text === undefined ? {} : {anchor: text}).verdict);
		assert.deepEqual(verdicts(whole), ['valid', 'valid']);
		assert.deepEqual(verdicts(forked), ['valid', 'tampered']);
		assert.deepEqual(verdicts(revoked), ['cannot_tell', 'valid']);
		assert.equal(verify(whole, {anchor: anchor.split('\n')[0] ?? ''}).verdict, 'cannot_tell');
		assert.equal(verify(one, {anchor}).verdict, 'cannot_tell');
		for (const file of ['log/server/checkpoint', 'log/server/proof.json'])
			for (const other of [forked.get(file) as Buffer, flipped(whole.get(file) as Buffer, 30)]) {
				if (other.equals(whole.get(file) as Buffer)) continue;
				assert.equal(verify(new Map(whole).set(file, other)).verdict, 'tampered', file);
			}
	});

	test(`${name} is not convinced by a bundle that holds nothing`, () => {
		for (const empty of [new Map(), changed((files) => [...files.keys()].map((file) => file !== SEAL && files.delete(file)))])
			assert.notEqual(verify(empty).verdict, 'valid');
		assert.notEqual(verify(resealed(new Map([['keys.json', one.get('keys.json') as Buffer]]))).verdict, 'valid');
		assert.notEqual(verify(resealed(lines((events) => void events.splice(0)))).verdict, 'valid');
	});
}

test('both verifiers end with 0, 1 and 2 on the command line, for a directory and an archive', async () => {
	const place = (name: string) => path.join(directory, name);
	const write = (name: string, files: Files) => {
		for (const [file, bytes] of files) {
			mkdirSync(path.dirname(path.join(place(name), file)), {recursive: true});
			writeFileSync(path.join(place(name), file), bytes);
		}
	};
	write('good', one);
	write(
		'bad',
		changed((files) => files.set('reports/summary.md', Buffer.from('all is well'))),
	);
	write(
		'linked',
		changed((files) => files.delete('evidence.json')),
	);
	writeFileSync(place('elsewhere.json'), one.get('evidence.json') as Buffer);
	symlinkSync(place('elsewhere.json'), path.join(place('linked'), 'evidence.json'));
	writeFileSync(place('good.tar'), archive);
	writeFileSync(place('bad.tar'), flipped(archive, 5_000));
	writeFileSync(place('other.tar'), 'no bundle');
	const expected = {good: 0, bad: 1, linked: 1, 'good.tar': 0, 'bad.tar': 1, 'other.tar': 2};
	const script = path.join(ROOT, 'scripts/verify-evidence.mjs');
	const exits = await Promise.all(
		Object.keys(expected).map(async (name) => {
			const second = spawnSync(process.execPath, [script, place(name)]).status;
			return [name, (await runWrit(['evidence', 'verify', place(name)])).exit, second];
		}),
	);
	assert.deepEqual(
		exits,
		Object.entries(expected).map(([name, exit]) => [name, exit, exit]),
	);
});

/** A run as the second of a log; the same on a log that began otherwise; and after its key was revoked. */
async function logged(t: {after(work: () => void): void}) {
	const root = mkdtempSync(path.join(tmpdir(), 'writ-logged-'));
	t.after(() => rmSync(root, {recursive: true}));
	const keyring = await openKeyring(path.join(root, 'keys'));
	const {store, head} = await finishedRun(keyring.current(), 'run_1', testedBodies(CASES));
	const old = keyring.current();
	const before = (runId: string) => signHead(old, {runId, seq: 3, hash: 'f'.repeat(64), at: head.at});
	const bundleOn = async (first: string, anchor: string | null) => {
		const heads = [before(first), head];
		const own = {heads: async (from: number) => heads.slice(from), headPosition: async () => 1};
		const log = createServerLog({store: own, keyring, directory: path.join(root, first), anchor});
		await log.sync();
		return new Map(await exportBundle('run_1', {store, key: keyring.current(), keys: keyring.records(), place: log.place}));
	};
	const anchor = path.join(root, 'checkpoints');
	const whole = await bundleOn('one', anchor);
	const forked = await bundleOn('other', null);
	await rotateKey(path.join(root, 'keys'), {revoke: 'it was copied', clock: {now: () => new Date()}});
	return {whole, forked, revoked: await bundleOn('one', anchor), anchor: readFileSync(anchor, 'utf8')};
}

/** Which file the byte at an offset of the archive belongs to; null for headers, padding and the end. */
function ownersOf(files: Files): (at: number) => string | null {
	const spans: [number, number, string][] = [];
	let at = 0;
	for (const [name, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
		spans.push([at + 512, at + 512 + bytes.length, name]);
		at += 512 + Math.ceil(bytes.length / 512) * 512;
	}
	return (offset) => spans.find(([start, end]) => offset >= start && offset < end)?.[2] ?? null;
}

function entriesOf(bytes: Buffer): Buffer[] {
	const entries: Buffer[] = [];
	for (let at = 0; bytes[at] !== 0; ) {
		const size = Number.parseInt(bytes.toString('latin1', at + 124, at + 135), 8);
		const next = at + 512 + Math.ceil(size / 512) * 512;
		entries.push(bytes.subarray(at, next));
		at = next;
	}
	return entries;
}
