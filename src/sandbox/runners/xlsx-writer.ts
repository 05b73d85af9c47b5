/** Writes rows as the smallest workbook that spreadsheets open: one sheet, inline strings, a bold header, dates as dates. */
import type {Json} from '#contract/json.ts';
import type {Column} from '#contract/table.ts';
import {ZipWriter} from './zip-writer.ts';

/** Rows of a sheet, the header included. */
export const SHEET_ROWS = 1_048_576;
const CELL_CHARACTERS = 32_767;
/** From here on a spreadsheet would show other digits than the number has. */
const EXACT_INTEGERS = 1e15;

const [HEADER, DATE, TIMESTAMP] = [1, 2, 3];

/** Writes `rows` to `path`; returns the bytes written and how many cells had to be cut. */
export async function writeWorkbook(
	path: string,
	columns: readonly Column[],
	rows: AsyncIterable<readonly Json[]>,
): Promise<{bytes: number; cut: number}> {
	const zip = new ZipWriter(path);
	const counter = {cut: 0};
	for (const [name, text] of Object.entries(PARTS)) await zip.add(name, [text]);
	await zip.add('xl/worksheets/sheet1.xml', sheet(columns, rows, counter));
	return {bytes: zip.close(), cut: counter.cut};
}

/** Markup gathered before it is handed on. */
const PIECE = 1 << 18;

async function* sheet(
	columns: readonly Column[],
	rows: AsyncIterable<readonly Json[]>,
	counter: {cut: number},
): AsyncGenerator<string> {
	yield `${XML}<worksheet xmlns="${MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData><row>`;
	yield `${columns.map(({name}) => inline(name, HEADER, counter)).join('')}</row>`;
	let piece = '';
	for await (const row of rows) {
		piece += '<row>';
		for (const [index, cell] of row.entries()) piece += encode(cell, columns[index] as Column, counter);
		piece += '</row>';
		if (piece.length < PIECE) continue;
		yield piece;
		piece = '';
	}
	yield `${piece}</sheetData></worksheet>`;
}

function encode(cell: Json, {type}: Column, counter: {cut: number}): string {
	if (cell === null) return '<c/>';
	if (typeof cell === 'number' && (!Number.isInteger(cell) || Math.abs(cell) < EXACT_INTEGERS || type === 'double'))
		return `<c><v>${cell}</v></c>`;
	if (typeof cell === 'boolean') return `<c t="b"><v>${cell ? 1 : 0}</v></c>`;
	if (type === 'date' || type === 'timestamp') {
		const serial = toSerial(String(cell));
		if (serial !== null) return `<c s="${type === 'date' ? DATE : TIMESTAMP}"><v>${serial}</v></c>`;
	}
	return inline(typeof cell === 'object' ? JSON.stringify(cell) : String(cell), 0, counter);
}

const DAY_MS = 86_400_000;
/** Day 0 of the calendar of spreadsheets, which has a 29 February 1900: before 1 March 1900 its days are off by one. */
const EPOCH = Date.UTC(1899, 11, 30);
const FIRST_RELIABLE = 61;
const LAST = 2_958_466;

function toSerial(moment: string): number | null {
	if (!/^\d{4}-\d{2}-\d{2}(T|$)/.test(moment)) return null;
	const serial = (Date.parse(moment.includes('T') ? `${moment}Z` : `${moment}T00:00:00Z`) - EPOCH) / DAY_MS;
	return serial >= FIRST_RELIABLE && serial < LAST ? serial : null;
}

function inline(text: string, style: number, counter: {cut: number}): string {
	const cut = text.length > CELL_CHARACTERS;
	if (cut) counter.cut += 1;
	const kept = escapeXml(cut ? `${text.slice(0, CELL_CHARACTERS - 1)}…` : text);
	return `<c t="inlineStr"${style ? ` s="${style}"` : ''}><is><t xml:space="preserve">${kept}</t></is></c>`;
}

const ENTITIES: Readonly<Record<string, string>> = {'&': '&amp;', '<': '&lt;', '>': '&gt;'};

/** Characters that XML has no place for are written as spreadsheets write them, `_x000B_`. */
function escapeXml(text: string): string {
	return text
		.toWellFormed()
		.replace(/[&<>]/g, (character) => ENTITIES[character] ?? '')
		.replace(/_(?=x[0-9A-Fa-f]{4}_)/g, '_x005F_')
		.replace(FORBIDDEN, (character) => `_x${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}_`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: -- these are the characters that have to be found
const FORBIDDEN = /[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/g;

const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>';
const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006';
const TYPE = 'application/vnd.openxmlformats-officedocument.spreadsheetml';

const PARTS: Readonly<Record<string, string>> = {
	'[Content_Types].xml': `${XML}<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="${TYPE}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="${TYPE}.worksheet+xml"/><Override PartName="/xl/styles.xml" ContentType="${TYPE}.styles+xml"/></Types>`,
	'_rels/.rels': `${XML}<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
	'xl/workbook.xml': `${XML}<workbook xmlns="${MAIN}" xmlns:r="${OFFICE}"><sheets><sheet name="result" sheetId="1" r:id="rId1"/></sheets></workbook>`,
	'xl/_rels/workbook.xml.rels': `${XML}<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${OFFICE}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="${OFFICE}/styles" Target="styles.xml"/></Relationships>`,
	'xl/styles.xml': `${XML}<styleSheet xmlns="${MAIN}"><numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/><numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/><xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/><xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs></styleSheet>`,
};
