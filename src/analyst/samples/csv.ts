import {createHash} from 'node:crypto';
import {mkdir, open, readFile, rename, rm} from 'node:fs/promises';
import {dirname} from 'node:path';
import type {Cell} from './sample.ts';

const CHUNK = 1 << 18;

/**
 * Writes a CSV file: header, commas, CRLF, `True`/`False`, an empty field for NULL. The file appears under its name only when it
 * is whole. Resolves to the SHA-256 of its bytes, hex.
 */
export async function writeCsv(path: string, header: readonly string[], rows: Iterable<readonly Cell[]>): Promise<string> {
	await mkdir(dirname(path), {recursive: true});
	const temporary = `${path}.${process.pid}.tmp`;
	const hash = createHash('sha256');
	await using cleanup = new AsyncDisposableStack();
	cleanup.defer(() => rm(temporary, {force: true}));
	await using file = await open(temporary, 'w');
	for (const chunk of chunks(header, rows)) {
		hash.update(chunk);
		await file.write(chunk);
	}
	await rename(temporary, path);
	return hash.digest('hex');
}

function* chunks(header: readonly string[], rows: Iterable<readonly Cell[]>): Generator<string> {
	let text = toLine(header);
	for (const row of rows) {
		text += toLine(row);
		if (text.length < CHUNK) continue;
		yield text;
		text = '';
	}
	yield text;
}

function toLine(cells: readonly Cell[]): string {
	return `${cells.map(toField).join(',')}\r\n`;
}

function toField(cell: Cell): string {
	if (cell === null) return '';
	if (typeof cell === 'boolean') return cell ? 'True' : 'False';
	const text = String(cell);
	return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Reads what `writeCsv` wrote: the header, then every row as text. Throws on a quote that never closes. */
export async function readCsv(path: string): Promise<{readonly header: readonly string[]; readonly rows: readonly string[][]}> {
	const [header = [], ...rows] = (await readFile(path, 'utf8'))
		.split('\r\n')
		.slice(0, -1)
		.map((line) => toFields(line, path));
	return {header, rows};
}

function toFields(line: string, path: string): string[] {
	if (!line.includes('"')) return line.split(',');
	const text = `${line},`;
	const fields = [...text.matchAll(/(?:"((?:[^"]|"")*)"|([^",]*)),/gy)];
	if (fields.map(([whole]) => whole).join('') !== text) throw new Error(`${path}: a line has a stray quote: ${line}`);
	return fields.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '');
}
