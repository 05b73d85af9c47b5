import type {AuditEntry} from '#contract/audit.ts';

const COLUMNS = [
	...(['at', 'actor', 'actorKind', 'principal', 'type', 'tool', 'mode', 'decision', 'risk', 'detail'] as const),
	...(['address', 'client', 'requestId', 'runId', 'seq', 'hash'] as const),
] as const;

/** Entries as lines of JSON, or as CSV in which no cell is a formula. */
export async function* toLines(entries: AsyncIterable<AuditEntry>, format: 'csv' | 'ndjson'): AsyncGenerator<Uint8Array> {
	if (format === 'csv') yield Buffer.from(`${COLUMNS.join(',')}\r\n`);
	for await (const entry of entries) {
		const line =
			format === 'csv' ? `${COLUMNS.map((column) => toCell(entry[column])).join(',')}\r\n` : `${JSON.stringify(entry)}\n`;
		yield Buffer.from(line);
	}
}

/** A spreadsheet computes what begins like a formula, and what it is told to fetch it fetches. */
export function toCell(value: string | number | null): string {
	// For some of them `;` begins a cell.
	const text = String(value ?? '').replaceAll(/;(?=\s*[=+\-@＝＋－＠])/g, ";'");
	const safe = /^\s*[=+\-@＝＋－＠]|^[\t\r]/.test(text) ? `'${text}` : text;
	return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
