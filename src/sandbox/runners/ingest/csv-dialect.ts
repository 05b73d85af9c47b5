/** Reads the beginning of a delimited text and says how it is delimited, and whether its first line names the columns. */

export type Dialect = {
	readonly delimiter: string;
	readonly escape: '"' | '\\';
	readonly header: readonly string[] | null;
	readonly columns: number;
	/** the first ones after the header, as far as the sample goes */
	readonly records: readonly (readonly (string | null)[])[];
	/** lines of the sample with fewer, or more, fields than the first; 1-based */
	readonly short: readonly number[];
	readonly long: readonly number[];
};

const DELIMITERS = [',', ';', '\t', '|'];
const SAMPLED_RECORDS = 1_000;

/** `complete` says that `head` is the whole text, so that its last line is not cut. */
export function sniffDialect(head: string, complete: boolean): Dialect {
	const quoteEscape = /[^\\]\\"[^",;\t|\r\n]/.test(head) && !head.includes('""') ? '\\' : '"';
	const readings = DELIMITERS.map((delimiter) => ({
		delimiter,
		records: readRecords(head, fieldPattern(delimiter, quoteEscape), complete),
	}));
	const best = readings.toSorted((a, b) => consistency(b.records) - consistency(a.records))[0] as Reading;
	const {delimiter, records} = best;
	const header = isHeader(records) ? (records[0]?.fields ?? []).map((field) => plainField(field, quoteEscape)) : null;
	const expected = header?.length ?? mode(records);
	const columns = Math.max(expected, ...records.map(({fields}) => fields.length));
	const lines = (kind: (length: number) => boolean) =>
		records.filter(({fields}) => kind(fields.length) && !isBlank(fields)).map(({line}) => line);
	const values = (header ? records.slice(1) : records).map(({fields}) => fields);
	const [short, long] = [lines((n) => n < expected), lines((n) => n > expected)];
	return {delimiter, escape: quoteEscape, header, columns, records: values, short, long};
}

function plainField(field: string, quoteEscape: '"' | '\\'): string {
	return quoteEscape === '"' ? field.replaceAll('""', '"') : field.replace(/\\([\s\S])/g, '$1');
}

type SampleRecord = {readonly line: number; readonly fields: readonly string[]};
type Reading = {readonly delimiter: string; readonly records: readonly SampleRecord[]};

/** Records that agree on their number of fields count; many fields break a tie, a single one says nothing. */
function consistency(records: readonly SampleRecord[]): number {
	const fields = mode(records);
	if (fields < 2) return 0;
	const agreeing = records.filter((record) => record.fields.length === fields).length;
	return agreeing / records.length + Math.min(fields, 50) / 1000;
}

function mode(records: readonly SampleRecord[]): number {
	const counts = new Map<number, number>();
	for (const {fields} of records) if (!isBlank(fields)) counts.set(fields.length, (counts.get(fields.length) ?? 0) + 1);
	return [...counts].toSorted((a, b) => b[1] - a[1] || b[0] - a[0])[0]?.[0] ?? 1;
}

function isBlank(fields: readonly string[]): boolean {
	return fields.length === 1 && fields[0] === '';
}

/** One field and what ends it. RFC 4180 with any delimiter and any line end; a quote that never closes is a character. */
function fieldPattern(delimiter: string, quoteEscape: '"' | '\\'): RegExp {
	const separator = delimiter === '|' ? '\\|' : delimiter;
	const quoted = quoteEscape === '"' ? '[^"]*(?:""[^"]*)*' : '[^"\\\\]*(?:\\\\[\\s\\S][^"\\\\]*)*';
	return new RegExp(`(?:"(${quoted})"|([^${separator}\\r\\n]*))(${separator}|\\r\\n|\\n|\\r|$)`, 'gy');
}

function readRecords(text: string, pattern: RegExp, complete: boolean): SampleRecord[] {
	const records: SampleRecord[] = [];
	let [fields, line, from] = [[] as string[], 1, 1];
	for (const [whole, quoted, plain, end = ''] of text.replace(/^\ufeff/, '').matchAll(pattern)) {
		// The end of the sample ends a record only where it is the end of the text.
		if (end === '' && (!complete || (whole === '' && fields.length === 0))) break;
		line += lineEnds(quoted);
		fields.push(quoted ?? plain ?? '');
		if (end !== '' && lineEnds(end) === 0) continue;
		records.push({line: from, fields});
		line += 1;
		[fields, from] = [[], line];
		if (records.length === SAMPLED_RECORDS || end === '') break;
	}
	return records.filter((record) => !isBlank(record.fields));
}

function lineEnds(text = ''): number {
	return text.match(/\r\n?|\n/g)?.length ?? 0;
}

const VALUE = /^[-+]?[\d.,]*\d[\d.,]*(e[-+]?\d+)?%?$|^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|^(true|false|null|nan)$/i;
const YEAR = /^(19|20)\d\d$/;

/** Names are not values. Years may head columns; and where nothing but text follows, distinct cells are taken for names. */
function isHeader(records: readonly SampleRecord[]): boolean {
	const [first, ...rest] = records.map(({fields}) => fields.map((field) => field.trim()));
	if (!first) return false;
	const named = first.filter((cell) => cell !== '');
	if (named.length === 0 || named.length < first.length / 2) return false;
	const values = first.filter((cell) => VALUE.test(cell));
	if (values.length > 0) return values.every((cell) => YEAR.test(cell)) && values.length < first.length;
	if (rest.some((fields) => fields.some((cell) => VALUE.test(cell)))) return true;
	return new Set(named).size === named.length || rest.length === 0;
}
