import assert from 'node:assert/strict';
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {test} from 'node:test';
import {gzipSync} from 'node:zlib';
import {directory, ending, type Finished, runInChild, snapshots} from './run-in-child.ts';
import {ZipWriter} from './zip-writer.ts';

type Profile = {
	name: string;
	rows: number;
	columns: {name: string; engineType: string; min: unknown; max: unknown}[];
	notices: string[];
};

async function ingest(name: string, content: string | Buffer): Promise<Finished> {
	const [incoming, out] = [directory(), directory()];
	writeFileSync(join(incoming, name), content);
	const request = {kind: 'ingest' as const, files: [{name, path: join(incoming, name)}]};
	return runInChild({command: [process.execPath, join(import.meta.dirname, 'ingest.ts')], request, roots: {in: incoming, out}});
}

function profiles(done: Finished): Profile[] {
	assert.equal(ending(done).type, 'done', JSON.stringify(ending(done)));
	return done.frames.flatMap((frame) => (frame.type === 'profile' ? [frame.table as unknown as Profile] : []));
}

/** `rows | column:type=min…max | …`, which says what became of a file in a line. */
function summary({rows, columns}: Profile): string {
	return [rows, ...columns.map(({name, engineType, min, max}) => `${name}:${engineType}=${min}…${max}`)].join(' | ');
}

const FILES: readonly (readonly [name: string, content: string | Buffer, expected: string])[] = [
	['ids.csv', 'id,n\n001,1\n002,2\n', '2 | id:VARCHAR=001…002 | n:BIGINT=1…2'],
	['semi.csv', 'a;b\n1.234,56;x\n2,5;y\n', '2 | a:DECIMAL(18,2)=2.5…1234.56 | b:VARCHAR=x…y'],
	['tab.tsv', 'a\tb\n"1,234.5"\t01/31/2024\n12\t02/01/2024\n', '2 | a:DECIMAL(18,1)=12…1234.5 | b:DATE=2024-01-31…2024-02-01'],
	['pipe.txt', 'a|b\n1|true\n2|false\n', '2 | a:BIGINT=1…2 | b:BOOLEAN=false…true'],
	[
		'big.csv',
		'h,w\n12345678901234567890,0.12345678901234567890\n1,2\n',
		'2 | h:DECIMAL(38,0)=1…12345678901234567890 | w:DECIMAL(38,20)=0.12345678901234567890…2.00000000000000000000',
	],
	['late.csv', `v\n${'1\n'.repeat(3000)}x\n`, '3001 | v:VARCHAR=1…x'],
	['na.csv', 'v,w\nNA,1\n1.5,2\n-,3\n', '3 | v:DECIMAL(18,1)=1.5…1.5 | w:BIGINT=1…3'],
	[
		'zone.csv',
		't\n2024-01-01T00:00:00Z\n2024-01-01T10:00:00+02:00\n',
		'2 | t:TIMESTAMP WITH TIME ZONE=2024-01-01T00:00:00Z…2024-01-01T08:00:00Z',
	],
	[
		'months.csv',
		'd,t\n1 Jan 2024,13/02/2024 10:30\n2 Feb 2024,01/02/2024 11:30\n',
		'2 | d:DATE=2024-01-01…2024-02-02 | t:TIMESTAMP=2024-02-01T11:30:00…2024-02-13T10:30:00',
	],
	['latin.csv', Buffer.from('name,x\nJosé,1\n', 'latin1'), '1 | name:VARCHAR=José…José | x:BIGINT=1…1'],
	[
		'wide.csv',
		Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('name,x\r\nJosé,1\r\n', 'utf16le')]),
		'1 | name:VARCHAR=José…José | x:BIGINT=1…1',
	],
	['bom.csv', '\ufeffname,x\nJosé,1\n', '1 | name:VARCHAR=José…José | x:BIGINT=1…1'],
	['cr.csv', 'a,b\r1,2\r3,4\r', '2 | a:BIGINT=1…3 | b:BIGINT=2…4'],
	['quotes.csv', 'a,b\n1,"x\ny, ""z"""\n', '1 | a:BIGINT=1…1 | b:VARCHAR=x\ny, "z"…x\ny, "z"'],
	['names.csv', 'a,A,,größe\n1,2,3,4\n', '1 | a:BIGINT=1…1 | A_2:BIGINT=2…2 | column_3:BIGINT=3…3 | größe:BIGINT=4…4'],
	['noheader.csv', '1,x\n2,y\n', '2 | column_1:BIGINT=1…2 | column_2:VARCHAR=x…y'],
	['ragged.csv', 'a,b\n1\n1,2,3\n', '2 | a:BIGINT=1…1 | b:BIGINT=2…2 | column_3:BIGINT=3…3'],
	['header.csv', 'a,b\n', '0 | a:VARCHAR=null…null | b:VARCHAR=null…null'],
	['packed.csv.gz', gzipSync('a,b\n1,2\n'), '1 | a:BIGINT=1…1 | b:BIGINT=2…2'],
	['array.json', '[{"a":1,"b":{"c":2}},{"a":2.5,"s":"001"}]', '2 | a:DOUBLE=1…2.5 | b_c:BIGINT=2…2 | s:VARCHAR=001…001'],
	['lines.ndjson', '{"a":1}\n{"a":2}\n', '2 | a:BIGINT=1…2'],
];

for (const [name, content, expected] of FILES)
	test(`${name} is read whole and typed by all of its rows`, async () => {
		assert.deepEqual(profiles(await ingest(name, content)).map(summary), [expected]);
	});

test('what is odd about a file is told to its owner', async () => {
	const [profile] = profiles(await ingest('Été 2024.csv', 'd,p,p\n03/04/2024,10%,1\n05/06/2024,20%,\n'));
	assert.deepEqual(
		[profile?.name, profile?.notices],
		[
			'ete_2024',
			[
				'1 column had a name that was taken: p → p_2',
				'column `d`: day and month cannot be told apart; dates were read day first',
				'column `p` holds percentages and was kept as text',
			],
		],
	);
});

for (const [name, content, reason] of [
	['empty.csv', '', 'it is empty'],
	['photo.csv', Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 1]), 'it is a JPEG image, whatever its name says'],
	['page.csv', '%PDF-1.7\n', 'it is a PDF document, whatever its name says'],
	['tool.csv', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]), 'it is a program, whatever its name says'],
	[
		'locked.xlsx',
		Buffer.from([0xd0, 0xcf, 0x11, 0xe0]),
		'it is an encrypted workbook or one of an old Excel, whatever its name says',
	],
	['noise.csv', Buffer.from(Array.from({length: 2000}, (_, index) => (index * 7919) % 256)), 'it holds binary data'],
	['bomb.csv.gz', gzipSync(Buffer.alloc(80 << 20, 'a,b\n')), 'it unpacks to more than 200 times its size'],
	['many.csv', `${Array.from({length: 5001}, (_, index) => `c${index}`).join(',')}\n`, 'it has more than 5000 columns'],
] as const)
	test(`${name} is refused with the reason`, async () => {
		const end = ending(await ingest(name, content));
		assert.ok(end.type === 'error');
		assert.deepEqual([end.code, end.message], ['unreadable_file', `\`${name}\` cannot be read: ${reason}`]);
	});

async function workbook(entries: Readonly<Record<string, string>>): Promise<Buffer> {
	const path = join(directory(), 'x.xlsx');
	const zip = new ZipWriter(path);
	for (const [name, text] of Object.entries(entries)) await zip.add(name, [text]);
	zip.close();
	return readFileSync(path);
}

const SHEET = `<worksheet><sheetData><row><c t="s"><v>0</v></c><c t="inlineStr"><is><t>when</t></is></c><c t="str"><v>sum</v></c></row>
<row><c r="A2" t="inlineStr"><is><t>a &amp; b</t></is></c><c r="B2" s="1"><v>45292</v></c><c r="C2"><f>1+1</f><v>2</v></c></row></sheetData></worksheet>`;
const STYLES = '<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>';
const SHARED = '<sst><si><r><t>na</t></r><r><t>me</t></r><rPh><t>x</t></rPh></si></sst>';
const BOOK = '<workbook><sheets><sheet name="One" r:id="a"/></sheets></workbook>';

test('a workbook is read by its shared texts, date formats and cached values', async () => {
	const file = await workbook({
		'xl/workbook.xml': BOOK,
		'xl/worksheets/sheet1.xml': SHEET,
		'xl/styles.xml': STYLES,
		'xl/sharedStrings.xml': SHARED,
	});
	assert.deepEqual(profiles(await ingest('book.xlsx', file)).map(summary), [
		'1 | name:VARCHAR=a & b…a & b | when:DATE=2024-01-01…2024-01-01 | sum:BIGINT=2…2',
	]);
});

test('a workbook with a document type declaration, or none at all, is refused', async () => {
	const evil = `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>${BOOK}`;
	for (const [entries, reason] of [
		[{'xl/workbook.xml': evil}, 'it has a document type declaration'],
		[{'readme.txt': 'x'}, 'it is a ZIP archive, not a workbook'],
		[
			{'xl/workbook.xml': BOOK, 'xl/worksheets/sheet1.xml': `<a>${' '.repeat(500_000)}</a>`.repeat(160)},
			'it unpacks to far more than its size (a zip bomb)',
		],
	] as const) {
		const end = ending(await ingest('book.xlsx', await workbook(entries)));
		assert.equal(end.type === 'error' && end.message, `\`book.xlsx\` cannot be read: ${reason}`);
	}
});

test('a Parquet file keeps its types', async () => {
	const {views} = await snapshots({t: "SELECT 1::SMALLINT AS s, DATE '2024-01-01' AS d, [1, 2] AS l, {'x': 1, 'y': 'z'} AS r"});
	const [profile] = profiles(await ingest('t.parquet', readFileSync(views[0]?.path ?? '')));
	assert.equal(
		profile && summary(profile),
		'1 | s:SMALLINT=1…1 | d:DATE=2024-01-01…2024-01-01 | l:INTEGER[]=null…null | r_x:INTEGER=1…1 | r_y:VARCHAR=z…z',
	);
});

const LONG = Array.from({length: 30_000}, (_, index) => `${index}.5\n`).join('');
const NEARLY: readonly (readonly [name: string, content: string, notices: readonly string[]])[] = [
	[
		'again.csv',
		`id,price,name\n1,2.5,a\n2,3.5,b\nid,price,name\n3,4.5,c\n`,
		['the line of column names is in the file 1 more time: what it does not fit was kept as text'],
	],
	['signs.csv', 'price\n"$1,200.50"\n$3\n', ['column `price` holds numbers written like `$1,200.50` and was kept as text']],
	[
		'stray.csv',
		`price\n${LONG}call us\nn/a\n`,
		['column `price` was kept as text: 1 of 30001 values is no number, such as `call us`'],
	],
	[
		'american.csv',
		'd,n\nJan 31 2024,1\nFeb 1 2024,2\n',
		['column `d` holds dates written like `Jan 31 2024` and was kept as text'],
	],
	['codes.csv', 'code,name\n007,May 5\n123,12 monkeys\n', []],
	['names.csv', 'name,n\nann,1\nbob,2\nname,3\n', []],
];

for (const [name, content, notices] of NEARLY) {
	test(`${name}: a column that is nearly typed is told of, and no other`, async () => {
		const [profile] = profiles(await ingest(name, content));
		assert.deepEqual(profile?.notices, notices);
	});
}
