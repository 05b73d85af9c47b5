/** Files made to harm whoever reads them, by name. */
import {gzipSync} from 'node:zlib';
import {archive, BOOK, damaged, parquet, workbook} from '../fixtures/make-files.ts';

const SHEET = '<worksheet><sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData></worksheet>';

const MAKERS: Readonly<Record<string, () => Promise<Buffer> | Buffer>> = {
	small: () => Buffer.from('a,b\n1,2\n'),
	'lying-footer': async () =>
		damaged(await parquet('SELECT range AS a FROM range(1000)'), [
			[-8, 0xff],
			[-7, 0xff],
			[-6, 0x0f],
			[-5, 0],
		]),
	'many-groups': async () =>
		damaged(
			await parquet('SELECT range AS a FROM range(5000)', ', ROW_GROUP_SIZE 2048'),
			Array.from({length: 12}, (_, n) => [-40 - n * 3, 0xff]),
		),
	nested: () => Buffer.from(`${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`),
	'bad-offsets': async () =>
		damaged(
			await parquet("SELECT range % 3 AS a, 'x' || (range % 7) AS b FROM range(3000)"),
			Array.from({length: 8}, (_, n) => [-60 - n * 7, 0x7f + n]),
		),
	'zip-slip': () => archive({'../../../../../../tmp/writ-slip': 'x', 'xl/workbook.xml': BOOK, 'xl/worksheets/sheet1.xml': SHEET}),
	'zip-absolute': () =>
		archive({'/tmp/writ-slip': 'x', '/etc/writ-slip': 'x', 'xl/workbook.xml': BOOK, 'xl/worksheets/sheet1.xml': SHEET}),
	'zip-symlink': async () =>
		withMode(await archive({'xl/workbook.xml': BOOK, 'xl/worksheets/sheet1.xml': '/etc/passwd'}), 0o120_777),
	'zip-duplicate': async () =>
		renamed(
			await archive({'xl/workbook.xml': BOOK, 'xl/worksheets/sheet1.xml': SHEET, 'xl/worksheets/sheet2.xml': '<a/>'}),
			'sheet2.xml',
			'sheet1.xml',
		),
	'nested-zip': async () =>
		archive({'xl/workbook.xml': BOOK, 'inner.zip': (await archive({'a.zip': 'x'.repeat(100_000)})).toString('latin1')}),
	tar: () => gzipSync(tar('../../../tmp/writ-slip', 'a,b\n1,2\n')),
	'zip-bomb': () =>
		archive({
			'xl/workbook.xml': BOOK,
			'xl/worksheets/sheet1.xml': `<worksheet><sheetData>${' '.repeat(80 << 20)}</sheetData></worksheet>`,
		}),
	'strings-bomb': () => workbook({sheet: '<row r="1"><c r="A1" t="s"><v>0</v></c></row>', shared: ['x'.repeat(90 << 20)]}),
	'gzip-bomb': () => gzipSync(Buffer.alloc(120 << 20, 'a,b\n')),
	'parquet-bomb': () => parquet("SELECT repeat('x', 60000) AS a FROM range(20000)", ', COMPRESSION zstd'),
};

export async function crafted(name: string): Promise<Buffer> {
	const make = MAKERS[name];
	if (!make) throw new Error(`nobody makes a file ${name}`);
	return make();
}

/** The archive with every entry of the directory said to be of this kind. */
function withMode(zip: Buffer, mode: number): Buffer {
	const copy = Buffer.from(zip);
	for (let at = copy.indexOf('PK\x01\x02'); at >= 0; at = copy.indexOf('PK\x01\x02', at + 4)) {
		copy.writeUInt16LE(0x0314, at + 4);
		copy.writeUInt32LE((mode << 16) >>> 0, at + 38);
	}
	return copy;
}

function renamed(zip: Buffer, from: string, to: string): Buffer {
	return Buffer.from(zip.toString('latin1').replaceAll(from, to), 'latin1');
}

function tar(name: string, content: string): Buffer {
	const header = Buffer.alloc(512);
	header.write(name, 0);
	header.write('0000644\0', 100);
	header.write(content.length.toString(8).padStart(11, '0'), 124);
	header.write('0', 156);
	return Buffer.concat([header, Buffer.from(content.padEnd(512, '\0')), Buffer.alloc(1024)]);
}
