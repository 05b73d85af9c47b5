/** Archives and output directories against whoever makes them: read within bounds or refused, and never outside their own place. */
import assert from 'node:assert/strict';
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
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';
import {setImmediate as turn} from 'node:timers/promises';
import {deflateRawSync} from 'node:zlib';
import fc from 'fast-check';
import {collectArtifacts} from '#sandbox/artifacts.ts';
import {RunnerError} from '#sandbox/runners/frames.ts';
import {tokens} from '#sandbox/runners/ingest/markup.ts';
import {openWorkbook} from '#sandbox/runners/ingest/workbook.ts';
import {ZipReader} from '#sandbox/runners/ingest/zip-reader.ts';
import {corpus, runs, SEED} from './fuzz.ts';

const place = mkdtempSync(path.join(tmpdir(), 'writ-fuzz-'));
after(() => rmSync(place, {recursive: true, force: true}));

// --- archives ----------------------------------------------------------------------------------------------------------

type Entry = {
	readonly name: string;
	readonly content: Buffer;
	readonly method: number;
	readonly lie: Partial<Record<'compressed' | 'size' | 'offset' | 'count' | 'extra', number>>;
};

/** A ZIP archive that says of itself what `lie` says. */
function zip(entries: readonly Entry[]): Buffer {
	const parts: Buffer[] = [];
	const directory: Buffer[] = [];
	let at = 0;
	for (const {name, content, method, lie} of entries) {
		const packed = method === 8 ? deflateRawSync(content) : content;
		const title = Buffer.from(name);
		const local = Buffer.alloc(30);
		local.writeUInt32LE(0x04034b50, 0);
		local.writeUInt16LE(method, 8);
		local.writeUInt32LE((lie.compressed ?? packed.length) >>> 0, 18);
		local.writeUInt32LE((lie.size ?? content.length) >>> 0, 22);
		local.writeUInt16LE(title.length, 26);
		local.writeUInt16LE((lie.extra ?? 0) & 0xffff, 28);
		const record = Buffer.alloc(46);
		record.writeUInt32LE(0x02014b50, 0);
		record.writeUInt16LE(method, 10);
		record.writeUInt32LE((lie.compressed ?? packed.length) >>> 0, 20);
		record.writeUInt32LE((lie.size ?? content.length) >>> 0, 24);
		record.writeUInt16LE(title.length, 28);
		record.writeUInt32LE((lie.offset ?? at) >>> 0, 42);
		directory.push(record, title);
		parts.push(local, title, packed);
		at += 30 + title.length + packed.length;
	}
	const size = directory.reduce((sum, part) => sum + part.length, 0);
	const end = Buffer.alloc(22);
	end.writeUInt32LE(0x06054b50, 0);
	end.writeUInt16LE((entries[0]?.lie.count ?? entries.length) & 0xffff, 10);
	end.writeUInt32LE(size, 12);
	end.writeUInt32LE(at, 16);
	return Buffer.concat([...parts, ...directory, end]);
}

const MOST = 70 << 20;

/** Reads all of it, as a workbook and as what it is; throws what is no refusal. */
async function readArchive(bytes: Buffer): Promise<'read' | 'refused'> {
	const file = path.join(place, 'a.xlsx');
	writeFileSync(file, bytes);
	let end: 'read' | 'refused' = 'read';
	for (const read of [readEntries, readWorkbook])
		try {
			await read(file);
		} catch (error) {
			if (!(error instanceof RunnerError)) throw error;
			end = 'refused';
		}
	assert.deepEqual(
		readdirSync(place).filter((name) => name !== 'a.xlsx' && name !== 'sheets'),
		[],
	);
	return end;
}

async function readEntries(file: string): Promise<void> {
	const reader = new ZipReader(file, 'a.xlsx');
	try {
		let unpacked = 0;
		for (const name of reader.names()) for await (const text of reader.text(name)) unpacked += text.length;
		assert.ok(unpacked <= MOST, `${unpacked}`);
	} finally {
		reader.close();
	}
}

async function readWorkbook(file: string): Promise<void> {
	const {sheets, close} = await openWorkbook({name: 'a.xlsx', path: file});
	try {
		mkdirSync(path.join(place, 'sheets'), {recursive: true});
		for (const sheet of sheets) await sheet.load(path.join(place, 'sheets'));
	} finally {
		close();
		rmSync(path.join(place, 'sheets'), {recursive: true, force: true});
	}
}

const BOOK = '<workbook><sheets><sheet name="One" r:id="a"/></sheets></workbook>';
const SHEET = '<worksheet><sheetData><row r="1"><c r="A1"><v>1</v></c><c r="B1" t="s"><v>0</v></c></row></sheetData></worksheet>';
const markup = fc.oneof(
	fc.constantFrom(
		BOOK,
		SHEET,
		'<sst><si><t>x</t></si></sst>',
		'<styleSheet><cellXfs><xf numFmtId="14"/></cellXfs></styleSheet>',
		'<!DOCTYPE x [<!ENTITY a "b">]><a>&a;</a>',
		`${'<a>'.repeat(5_000)}`,
		'<row r="99999999"><c r="ZZZ1"><v>1</v></c></row>',
		'<c r="A1048577" t="s"><v>4294967296</v></c>',
		'<![CDATA[',
		'<!--',
		'<a b="',
		'&#x110000;&#xD800;&lt',
	),
	fc.string({maxLength: 200}),
	fc
		.tuple(fc.constantFrom(BOOK, SHEET), fc.nat(), fc.string({maxLength: 6}))
		.map(([text, at, noise]) => text.slice(0, at % text.length) + noise + text.slice(at % text.length)),
);
const lie = fc.record(
	{
		compressed: fc.constantFrom(0, 1, 0xffff_ffff, 1 << 20),
		size: fc.constantFrom(0, 0xffff_ffff, 1),
		offset: fc.constantFrom(0, 5, 0xffff_fff0, 100_000),
		count: fc.constantFrom(0, 1, 9, 0xffff),
		extra: fc.constantFrom(0, 9, 0xffff),
	},
	{requiredKeys: []},
);
const entry = fc.record({
	name: fc.constantFrom(
		'xl/workbook.xml',
		'xl/worksheets/sheet1.xml',
		'xl/sharedStrings.xml',
		'xl/styles.xml',
		'xl/_rels/workbook.xml.rels',
		'../../evil',
		'/etc/evil',
		'xl/worksheets/../../x',
		'__proto__',
		'',
		'a\0b',
		'xl\\workbook.xml',
	),
	content: fc.oneof(
		{arbitrary: markup.map((text) => Buffer.from(text)), weight: 5},
		{arbitrary: fc.constantFrom(0, 1 << 16, 1 << 20).map((size) => Buffer.alloc(size, ' ')), weight: 1},
	),
	method: fc.constantFrom(8, 8, 8, 0, 12),
	lie: fc.oneof({arbitrary: fc.constant({}), weight: 3}, {arbitrary: lie, weight: 1}),
});
const archive = fc
	.tuple(fc.array(entry, {maxLength: 5}), fc.array(fc.tuple(fc.nat(), fc.nat(255)), {maxLength: 4}), fc.nat(9))
	.map(([entries, flips, mood]) => {
		const sound = zip([
			{name: 'xl/workbook.xml', content: Buffer.from(BOOK), method: 8, lie: {}},
			{name: 'xl/worksheets/sheet1.xml', content: Buffer.from(SHEET), method: 8, lie: {}},
			...entries,
		] as Entry[]);
		if (mood < 6) for (const [at, value] of flips) sound[at % sound.length] = value;
		return mood === 9 ? sound.subarray(0, (flips[0]?.[0] ?? 0) % sound.length) : sound;
	});

test('what was kept from earlier runs is read or refused', async () => {
	const kept = corpus('artifacts');
	assert.ok(kept.length >= 5, `${kept.length}`);
	for (const {bytes} of kept) await readArchive(bytes);
});

test(`an archive is read within bounds or refused, whatever it says of itself (seed ${SEED})`, async () => {
	const ends = {read: 0, refused: 0};
	await fc.assert(
		fc.asyncProperty(archive, async (bytes) => {
			ends[await readArchive(bytes)] += 1;
		}),
		runs(2_500),
	);
	assert.ok(ends.read > 20 && ends.refused > 100, JSON.stringify(ends));
});

test('a bomb ends at its bound, also one that is made of many entries, and one that says that it is small', async () => {
	const empty = Buffer.alloc(30 << 20);
	const bombs = [
		zip([{name: 'a', content: Buffer.alloc(90 << 20), method: 8, lie: {}}]),
		zip(Array.from({length: 4}, (_, n) => ({name: `${n}`, content: empty, method: 8, lie: {}}))),
		zip([{name: 'a', content: Buffer.alloc(90 << 20), method: 8, lie: {size: 10}}]),
	];
	for (const bomb of bombs) assert.equal(await readArchive(bomb), 'refused');
});

test(`markup of any kind is cut into tokens without end or exception (seed ${SEED})`, async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(markup, {maxLength: 6}), fc.array(fc.nat(), {maxLength: 4}), async (texts, cuts) => {
			const text = texts.join('');
			const edges = [0, ...cuts.map((cut) => cut % (text.length + 1)), text.length].toSorted((a, b) => a - b);
			async function* pieces() {
				for (const [index, edge] of edges.slice(1).entries()) yield text.slice(edges[index], edge);
			}
			let count = 0;
			try {
				for await (const _ of tokens(pieces())) count += 1;
			} catch (error) {
				if (
					!(error instanceof RunnerError) &&
					!(error instanceof Error && /markup|document type|declaration/i.test(error.message))
				)
					throw error;
			}
			assert.ok(count <= text.length + 1);
		}),
		runs(3_000),
	);
});

// --- what a sandbox leaves ---------------------------------------------------------------------------------------------

type Left = {
	readonly kind: 'file' | 'link' | 'directory' | 'hole' | 'hard';
	readonly at: readonly string[];
	readonly size: number;
};

const CAPS = {fileBytes: 2_000, totalBytes: 6_000, files: 6};
const part = fc.oneof(
	fc.constantFrom(
		'a',
		'b',
		'Å',
		'A\u030a',
		'con',
		'-rf',
		'.hidden',
		'x'.repeat(255),
		'a\nb',
		'a\u202eb',
		'...',
		'~',
		'a\\b',
		'a:b',
		'a b',
		'ü'.repeat(120),
		'🙂',
	),
	fc.string({minLength: 1, maxLength: 8}).filter((name) => !/[/\0]/.test(name) && name !== '.' && name !== '..'),
);
const left = fc.record({
	kind: fc.constantFrom('file', 'file', 'file', 'link', 'directory', 'hole', 'hard'),
	at: fc.array(part, {minLength: 1, maxLength: 4}),
	size: fc.constantFrom(0, 1, 1_999, 2_000, 2_001, 5_000),
}) as fc.Arbitrary<Left>;

function leave(out: string, secret: string, things: readonly Left[]): void {
	const makers: Record<Left['kind'], (target: string, size: number) => void> = {
		file: (target, size) => writeFileSync(target, Buffer.alloc(size, path.basename(target))),
		link: (target, size) => symlinkSync(size % 2 === 0 ? secret : path.dirname(secret), target),
		directory: (target) => mkdirSync(target, {recursive: true}),
		hard: (target) => linkSync(secret, target),
		hole(target) {
			writeFileSync(target, '');
			truncateSync(target, 2 ** 40);
		},
	};
	for (const {kind, at, size} of things)
		try {
			const target = path.join(out, ...at);
			mkdirSync(path.dirname(target), {recursive: true});
			makers[kind](target, size);
		} catch {
			// a name that is taken, or that this file system has not
		}
}

function assertHarmless(keep: string, collected: Awaited<ReturnType<typeof collectArtifacts>>): void {
	const {artifacts} = collected;
	assert.ok(artifacts.length <= CAPS.files);
	assert.ok(artifacts.reduce((sum, {bytes}) => sum + bytes, 0) <= CAPS.totalBytes);
	assert.equal(new Set(artifacts.map(({name}) => name.normalize('NFC'))).size, artifacts.length);
	for (const {name, bytes, sha256} of artifacts) {
		assert.ok(bytes <= CAPS.fileBytes);
		const content = readFileSync(path.join(keep, sha256));
		assert.deepEqual([content.length, createHash('sha256').update(content).digest('hex')], [bytes, sha256]);
		assert.ok(!content.includes('canary'), name);
		assert.ok(!/[\p{Cc}\\:]|^\/|(^|\/)\.\.?(\/|$)|^[-~.]/u.test(name), JSON.stringify(name));
	}
	assert.deepEqual(readdirSync(keep).toSorted(), [...new Set(artifacts.map(({sha256}) => sha256))].toSorted());
}

test(`of what a sandbox leaves only plain files within the caps are kept, whatever lies there (seed ${SEED})`, async () => {
	let kept = 0;
	await fc.assert(
		fc.asyncProperty(fc.array(left, {maxLength: 12}), async (things) => {
			const home = mkdtempSync(path.join(place, 'out-'));
			const [out, keep, secret] = ['out', 'keep', 'secret'].map((name) => path.join(home, name)) as [string, string, string];
			mkdirSync(out);
			mkdirSync(keep);
			writeFileSync(secret, 'canary');
			leave(out, secret, things);
			const collected = await collectArtifacts(out, keep, CAPS);
			assertHarmless(keep, collected);
			kept += collected.artifacts.length;
			rmSync(home, {recursive: true, force: true});
		}),
		runs(1_000),
	);
	assert.ok(kept > 100, `${kept}`);
});

test(`nor does it help to rename and replace while they are collected (seed ${SEED})`, async () => {
	const home = mkdtempSync(path.join(place, 'race-'));
	const [out, secret] = [path.join(home, 'out'), path.join(home, 'secret')];
	mkdirSync(path.join(out, 'd'), {recursive: true});
	mkdirSync(path.join(home, 'elsewhere'));
	writeFileSync(secret, 'canary');
	writeFileSync(path.join(home, 'elsewhere/f'), 'canary');
	const swapping = {on: true};
	const swap = (async () => {
		for (let n = 0; swapping.on; n += 1) {
			const target = path.join(out, 'f');
			rmSync(target, {force: true});
			if (n % 2 === 0) symlinkSync(secret, target);
			else writeFileSync(target, 'mine');
			const directory = path.join(out, 'd');
			renameSync(directory, path.join(home, 'aside'));
			if (n % 3 === 0) symlinkSync(path.join(home, 'elsewhere'), directory);
			await turn();
			rmSync(directory, {force: true});
			renameSync(path.join(home, 'aside'), directory);
			await turn();
		}
	})();
	for (let round = 0; round < 400; round += 1) {
		const keep = mkdtempSync(path.join(home, 'keep-'));
		const collected = await collectArtifacts(out, keep, CAPS).catch((error: NodeJS.ErrnoException) =>
			error.code === 'ENOENT' ? null : Promise.reject(error),
		);
		if (collected) assertHarmless(keep, collected);
		rmSync(keep, {recursive: true});
	}
	swapping.on = false;
	await swap;
});
