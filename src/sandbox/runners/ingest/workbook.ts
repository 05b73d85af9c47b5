/** Reads the sheets of a workbook as rows of text: cached values of formulas, dates by their format, nothing computed or fetched. */
import {closeSync, openSync} from 'node:fs';
import {join} from 'node:path';
import {RunnerError} from '../frames.ts';
import type {Dialect} from './csv-dialect.ts';
import {assertColumns, type Source, writeText} from './delimited.ts';
import {attribute, type Element, tokens} from './markup.ts';
import {unreadable} from './recognise.ts';
import {toCellText, type WorkbookFacts} from './spreadsheet-cells.ts';
import {ZipReader} from './zip-reader.ts';

/** A sheet as delimited text. */
export type Loaded = {readonly source: Source & {readonly gzip: boolean}; readonly dialect: Dialect};
/** `load` writes to a directory; null for a sheet without cells. */
export type Sheet = {readonly name: string; readonly load: (directory: string) => Promise<Loaded | null>};

/** The sheets of a workbook, each to be loaded when its turn comes. `close` when done. */
export async function openWorkbook(source: Source): Promise<{sheets: Sheet[]; close: () => void}> {
	const zip = new ZipReader(source.path, source.name);
	if (!zip.has('xl/workbook.xml'))
		throw unreadable(source.name, 'it is a ZIP archive, not a workbook', 'unpack it and add the files inside');
	return guarded(source, async () => {
		const {sheets, date1904} = await readSheets(zip);
		const facts: WorkbookFacts = {shared: await sharedStrings(zip), formats: await dateFormats(zip), date1904};
		const load = (path: string) => (directory: string) =>
			guarded(source, () => loadSheet(path, {zip, facts, source}, join(directory, '.sheet')));
		return {sheets: sheets.map(({name, path}) => ({name, load: load(path)})), close: () => zip.close()};
	});
}

async function guarded<T>(source: Source, work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch (error) {
		if (error instanceof SyntaxError) throw unreadable(source.name, error.message, 'open it in a spreadsheet and save it anew');
		throw error;
	}
}

async function readSheets(zip: ZipReader): Promise<{sheets: {name: string; path: string}[]; date1904: boolean}> {
	const targets = await relationships(zip);
	const sheets: {name: string; path: string}[] = [];
	let date1904 = false;
	for await (const token of tokens(zip.text('xl/workbook.xml'))) {
		if (token.kind !== 'open') continue;
		if (token.name === 'workbookPr') date1904 = /^(1|true)$/.test(attribute(token.attributes, 'date1904') ?? '');
		if (token.name !== 'sheet') continue;
		const target = targets.get(attribute(token.attributes, 'id') ?? '') ?? `worksheets/sheet${sheets.length + 1}.xml`;
		const path = target.startsWith('/') ? target.slice(1) : `xl/${target}`;
		if (zip.has(path)) sheets.push({name: attribute(token.attributes, 'name') ?? '', path});
	}
	return {sheets, date1904};
}

async function relationships(zip: ZipReader): Promise<Map<string, string>> {
	const targets = new Map<string, string>();
	for await (const {kind, name, attributes} of elements(zip, 'xl/_rels/workbook.xml.rels'))
		if (kind === 'open' && name === 'Relationship')
			targets.set(attribute(attributes, 'Id') ?? '', attribute(attributes, 'Target') ?? '');
	return targets;
}

/** Shared texts are held in memory: this many characters at most. */
const MAX_SHARED = 200_000_000;

async function sharedStrings(zip: ZipReader): Promise<string[]> {
	const strings: string[] = [];
	if (!zip.has('xl/sharedStrings.xml')) return strings;
	let [current, total] = ['', 0];
	const inside = {t: false, rPh: false};
	for await (const token of tokens(zip.text('xl/sharedStrings.xml'))) {
		if (token.kind === 'text') {
			if (inside.t && !inside.rPh) current += token.text;
			continue;
		}
		const opens = token.kind === 'open' && !token.empty;
		if (token.name === 't' || token.name === 'rPh') inside[token.name] = opens;
		if (token.name !== 'si' || opens) continue;
		strings.push(current);
		total += current.length;
		current = '';
		assertText(total);
	}
	return strings;
}

function assertText(characters: number): void {
	if (characters > MAX_SHARED)
		throw new RunnerError('runner_resource_exceeded', 'the workbook holds too much text', {hint: 'save the sheet as CSV'});
}

/** For each cell style, the format code of its numbers. */
async function dateFormats(zip: ZipReader): Promise<string[]> {
	const custom = new Map<string, string>();
	const formats: string[] = [];
	let inside = false;
	for await (const token of elements(zip, 'xl/styles.xml')) {
		if (token.name === 'cellXfs') inside = token.kind === 'open';
		if (token.kind === 'close') continue;
		const id = attribute(token.attributes, 'numFmtId') ?? '0';
		if (token.name === 'numFmt') custom.set(id, attribute(token.attributes, 'formatCode') ?? '');
		if (token.name === 'xf' && inside) formats.push(custom.get(id) ?? BUILT_IN[id] ?? '');
	}
	return formats;
}

/** The elements of an entry that may be absent. */
async function* elements(zip: ZipReader, entry: string): AsyncGenerator<Element> {
	if (!zip.has(entry)) return;
	for await (const token of tokens(zip.text(entry))) if (token.kind !== 'text') yield token;
}

const BUILT_IN: Readonly<Record<string, string>> = {
	14: 'yyyy-mm-dd',
	15: 'd-mmm-yy',
	16: 'd-mmm',
	17: 'mmm-yy',
	18: 'h:mm',
	19: 'h:mm:ss',
	20: 'h:mm',
	21: 'h:mm:ss',
	22: 'yyyy-mm-dd h:mm',
	45: 'mm:ss',
	46: '[h]:mm:ss',
	47: 'mm:ss.0',
};

type Loading = {readonly zip: ZipReader; readonly facts: WorkbookFacts; readonly source: Source};

/** Rows by whose cells the columns are first guessed. */
const SAMPLED_ROWS = 1_000;

/** Writes the sheet as delimited text. */
async function loadSheet(entry: string, {zip, facts, source}: Loading, path: string): Promise<Loaded | null> {
	const descriptor = openSync(path, 'w');
	const records: (string | null)[][] = [];
	let [pending, columns, header] = ['', 0, null as string[] | null];
	for await (const row of sheetRows(zip, entry, facts)) {
		if (header === null && row.every((cell) => cell === null)) continue;
		if (header && records.length < SAMPLED_ROWS) records.push(row);
		header ??= row.map((cell) => cell ?? '');
		columns = Math.max(columns, row.length);
		assertColumns(columns, source.name);
		pending += `${row.map((cell) => (cell === null ? '' : `"${cell.replaceAll('"', '""')}"`)).join(',')}\n`;
		if (pending.length < 1 << 18) continue;
		writeText(descriptor, pending);
		pending = '';
	}
	writeText(descriptor, pending);
	closeSync(descriptor);
	if (header === null) return null;
	const dialect: Dialect = {delimiter: ',', escape: '"', header, columns, records, short: [], long: []};
	return {source: {name: source.name, path, gzip: false}, dialect};
}

type Reading = {row: (string | null)[]; cell: {type: string; style: number; text: string; column: number}; inValue: boolean};

async function* sheetRows(zip: ZipReader, entry: string, facts: WorkbookFacts): AsyncGenerator<(string | null)[]> {
	const reading: Reading = {row: [], cell: {type: 'n', style: 0, text: '', column: 0}, inValue: false};
	for await (const token of tokens(zip.text(entry))) {
		if (token.kind === 'text') reading.cell.text += reading.inValue ? token.text : '';
		else if (token.name !== 'row') readCellToken(token, reading, facts);
		else if (token.kind === 'close') yield reading.row;
		else reading.row = [];
	}
}

function readCellToken({kind, name, attributes, empty}: Element, reading: Reading, facts: WorkbookFacts): void {
	const opens = kind === 'open' && !empty;
	if (name === 'v' || name === 't') reading.inValue = opens;
	if (name !== 'c') return;
	const {row, cell} = reading;
	if (kind === 'open') {
		const column = columnIndex(attribute(attributes, 'r')) ?? row.length;
		reading.cell = {type: attribute(attributes, 't') ?? 'n', style: Number(attribute(attributes, 's') ?? 0), text: '', column};
	}
	if (opens) return;
	const {column} = kind === 'open' ? reading.cell : cell;
	while (row.length < column) row.push(null);
	row[column] = toCellText(reading.cell, facts);
}

/** `C5` is in column 2. Beyond the width of a sheet it is no address. */
function columnIndex(reference: string | undefined): number | null {
	const letters = /^[A-Z]{1,3}/.exec(reference ?? '')?.[0];
	if (!letters) return null;
	return [...letters].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 64, 0) - 1;
}
