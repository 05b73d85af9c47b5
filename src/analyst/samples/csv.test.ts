import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {readCsv, writeCsv} from './csv.ts';

test('a file has a header, CRLF, True and False, empty fields for NULL and quotes only where needed', async () => {
	await using folder = await temporary();
	const path = join(folder.path, 'deep', 'a.csv');

	const sha256 = await writeCsv(
		path,
		['n', 'text', 'flag'],
		[
			[1, "Children's Book", true],
			[null, 'a "b", c', false],
		],
	);

	const text = 'n,text,flag\r\n1,Children\'s Book,True\r\n,"a ""b"", c",False\r\n';
	assert.equal(await readFile(path, 'utf8'), text);
	assert.equal(sha256, createHash('sha256').update(text).digest('hex'));
	assert.deepEqual(await readdir(join(folder.path, 'deep')), ['a.csv']);
	const rows = [
		['1', "Children's Book", 'True'],
		['', 'a "b", c', 'False'],
	];
	assert.deepEqual(await readCsv(path), {header: ['n', 'text', 'flag'], rows});
});

test('rows that fail half-way leave no file under the name', async () => {
	await using folder = await temporary();
	const path = join(folder.path, 'a.csv');
	function* broken() {
		yield [1];
		throw new Error('broken');
	}
	await assert.rejects(writeCsv(path, ['n'], broken()), /broken/);
	assert.deepEqual(await readdir(folder.path), []);
});

async function temporary(): Promise<AsyncDisposable & {readonly path: string}> {
	const path = await mkdtemp(join(tmpdir(), 'writ-csv-'));
	return {path, [Symbol.asyncDispose]: () => rm(path, {recursive: true})};
}
