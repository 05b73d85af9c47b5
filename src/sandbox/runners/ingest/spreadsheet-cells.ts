/** What a spreadsheet cell says, as text that reads back as the same value. */

export type WorkbookFacts = {
	readonly shared: readonly string[];
	/** format code of each cell style */
	readonly formats: readonly string[];
	/** days are counted from 1904 instead of 1900 */
	readonly date1904: boolean;
};

type StoredCell = {readonly type: string; readonly style: number; readonly text: string};

export function toCellText({type, style, text}: StoredCell, facts: WorkbookFacts): string | null {
	if (type === 's') return facts.shared[Number(text)] ?? null;
	if (type === 'e') return null;
	if (type === 'b') return text === '1' ? 'true' : 'false';
	if (type !== 'n') return text === '' ? null : unescaped(text);
	if (text === '') return null;
	const kind = dateKind(facts.formats[style] ?? '');
	return kind ? fromSerial(Number(text), kind, facts.date1904) : text;
}

/** Characters without a place in XML are written `_x000B_`. */
function unescaped(text: string): string {
	return text.replace(/_x([0-9A-F]{4})_/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function dateKind(format: string): 'date' | 'time' | 'timestamp' | null {
	// Literals, colours and conditions say nothing of the kind, except for elapsed hours such as `[h]`.
	const code =
		format
			.replace(/"[^"]*"|\\.|\[(?!h+\]|m+\]|s+\])[^\]]*\]/gi, '')
			.split(';')[0]
			?.toLowerCase() ?? '';
	if (/general|[#?%]|e[+-]/.test(code)) return null;
	const time = /[hs]/.test(code);
	const date = /[yd]/.test(code) || (/m/.test(code) && !time);
	if (date) return time ? 'timestamp' : 'date';
	return time ? 'time' : null;
}

const DAY_MS = 86_400_000;

function fromSerial(serial: number, kind: 'date' | 'time' | 'timestamp', date1904: boolean): string {
	const epoch = date1904 ? Date.UTC(1904, 0, 1) : Date.UTC(1899, 11, serial < 60 ? 31 : 30);
	const moment = new Date(epoch + Math.round(serial * DAY_MS));
	if (!Number.isFinite(moment.getTime()) || serial < 0) return String(serial);
	const iso = moment.toISOString().replace('Z', '').replace('.000', '');
	if (kind === 'time' && serial < 1) return iso.slice(11);
	return kind === 'date' && Number.isInteger(serial) ? iso.slice(0, 10) : iso.replace('T', ' ');
}
