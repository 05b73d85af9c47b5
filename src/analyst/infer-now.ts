import type {ColumnProfile, Dataset} from '#contract/dataset.ts';

const DAY_MS = 86_400_000;
/** Names of columns that say when something was recorded, and of those that say when something is to be, or was long ago. */
const RECORDED =
	/(^|[_\s])(created|order(ed)?|event|date|time|timestamp|datetime|recorded|logged|opened|started|updated|day|at|on|ts)($|[_\s])/i;
const ELSEWHEN = /birth|dob|due|expir|valid|until|deadline|renew|schedul|planned|forecast|target|next|warranty|end($|[_\s])/i;

/**
 * The moment a user's data ends, which is what "last week" means in it: the latest value of the column that most plausibly says when
 * rows were recorded, unless it lies after tomorrow. Null when no column qualifies. A day counts to its last second.
 */
export function inferNow({tables}: Pick<Dataset, 'tables'>, today: Date): string | null {
	const candidates = tables
		.flatMap(({columns, rows}) => columns.map((column) => ({moment: lastMoment(column), score: plausibility(column, rows)})))
		.filter(({moment}) => moment !== null && Date.parse(`${moment}Z`) <= today.getTime() + DAY_MS)
		.sort((a, b) => b.score - a.score || String(b.moment).localeCompare(String(a.moment)));
	return candidates[0]?.moment ?? null;
}

function lastMoment({type, max}: ColumnProfile): string | null {
	if (typeof max !== 'string' || !['date', 'timestamp', 'timestamptz'].includes(type)) return null;
	const [, day, time = '00:00:00'] = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d))?/.exec(max) ?? [];
	if (day === undefined) return null;
	return `${day}T${time === '00:00:00' ? '23:59:59' : time}`;
}

function plausibility({name, type, nulls}: ColumnProfile, rows: number): number {
	const spelled = name.replaceAll(/([a-z])([A-Z])/g, '$1_$2');
	const named = (RECORDED.test(spelled) ? 2 : 0) - (ELSEWHEN.test(spelled) ? 5 : 0);
	return named + (type === 'date' ? 0 : 1) - (nulls > rows / 100 ? 1 : 0);
}
