/** Asks the planner the questions of a set and judges its answers by their values. */
import {globSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {compilePlan} from '#analyst/plan/compile-plan.ts';
import {requirePlan} from '#analyst/plan/parse-plan.ts';
import {type Planned, planQuestion} from '#analyst/planner/plan-question.ts';
import type {Json} from '#contract/json.ts';
import {type Loaded, loadDataset} from './datasets.ts';

export type Half = 'built-with' | 'held-out';

/** What the answer must be: the values of a query (or of one of several, where a question has several readings), or no answer. */
export type Question = {
	readonly question: string;
	/** asked just before, in the same thread */
	readonly after?: string;
	readonly sql?: string | readonly string[];
	/** the order of rows counts */
	readonly ordered?: true;
	/** listing the rows is as good as counting them */
	readonly rows?: true;
	/** saying the values without computing them is as good */
	readonly chatable?: true;
	readonly abstain?: true;
	readonly chat?: true;
};

export type Verdict = 'right' | 'wrong' | 'abstained';
export type Judged = {
	readonly half: Half;
	readonly dataset: string;
	readonly question: string;
	readonly isAnswerable: boolean;
	readonly verdict: Verdict;
	readonly planned: Planned;
	/** to plan it once more, when the code and the dataset's vocabulary are warm */
	readonly ms: number;
	readonly detail: string;
};

type Rows = readonly (readonly Json[])[];

export function questionFiles(half: Half): readonly {readonly dataset: string; readonly questions: readonly Question[]}[] {
	return globSync(path.join(import.meta.dirname, half, '*.json'))
		.sort()
		.map((file) => JSON.parse(readFileSync(file, 'utf8')));
}

export async function judgeHalf(half: Half): Promise<readonly Judged[]> {
	const judged: Judged[] = [];
	for (const {dataset, questions} of questionFiles(half)) {
		const loaded = await loadDataset(dataset);
		for (const question of questions) judged.push({half, ...(await judge(question, loaded))});
		loaded.close();
	}
	return judged;
}

async function judge(item: Question, loaded: Loaded): Promise<Omit<Judged, 'half'>> {
	const {dataset} = loaded;
	const before = item.after === undefined ? null : planQuestion(item.after, dataset);
	const previous = before?.kind === 'plan' ? requirePlan(before.plan, dataset) : undefined;
	const planned = planQuestion(item.question, dataset, {previous});
	const start = performance.now();
	planQuestion(item.question, dataset, {previous});
	const ms = performance.now() - start;
	const isAnswerable = item.abstain !== true;
	const base = {dataset: dataset.id, question: item.question, isAnswerable, planned, ms};
	return {...base, ...(await verdictOf(item, planned, loaded))};
}

async function verdictOf(
	item: Question,
	planned: Planned,
	loaded: Loaded,
): Promise<{readonly verdict: Verdict; readonly detail: string}> {
	if (planned.kind === 'abstain') return {verdict: item.abstain ? 'right' : 'abstained', detail: planned.reason};
	const wanted = await Promise.all([item.sql ?? []].flat().map((sql) => loaded.rows(sql)));
	if (planned.kind === 'chat') {
		const isSaid =
			item.chatable === true &&
			wanted.some((rows) => rows.every(([cell]) => planned.text.replaceAll(',', '').includes(String(cell))));
		return {verdict: item.chat || isSaid ? 'right' : 'wrong', detail: planned.text};
	}
	const plan = requirePlan(planned.plan, loaded.dataset);
	const {sql} = compilePlan(plan, loaded.dataset);
	const rows = await loaded.rows(sql);
	// such an answer says that nothing matched, which is what there is to say
	if (item.abstain) return {verdict: isNothing(rows) ? 'right' : 'wrong', detail: planned.reading};
	const isRight = wanted.some((expected) => matches(expected, rows, item));
	return {
		verdict: isRight ? 'right' : 'wrong',
		detail: `${planned.reading}\n${sql}\ngot ${JSON.stringify(rows.slice(0, 4))}\nwanted ${JSON.stringify(wanted[0]?.slice(0, 4))}`,
	};
}

export function isNothing(rows: Rows): boolean {
	return rows.every((row) => row.every((cell) => cell === null));
}

/** Every column that was wanted is there, row by row; further columns do no harm. */
export function matches(wanted: Rows, rows: Rows, {ordered, rows: isListable}: Pick<Question, 'ordered' | 'rows'>): boolean {
	if (
		isListable &&
		wanted.length === 1 &&
		wanted[0]?.length === 1 &&
		rows.length === Number(wanted[0][0]) &&
		(rows[0]?.length ?? 0) > 1
	)
		return true;
	if (wanted.length !== rows.length) return false;
	const width = wanted[0]?.length ?? 0;
	const columns = Array.from({length: rows[0]?.length ?? 0}, (_, index) => index);
	return choices(columns, width).some((chosen) => {
		const [a, b] = [
			wanted.map((row) => row.map(shown).join('\t')),
			rows.map((row) => chosen.map((index) => shown(row[index] ?? null)).join('\t')),
		];
		return ordered ? a.every((line, index) => line === b[index]) : a.toSorted().join('\n') === b.toSorted().join('\n');
	});
}

/** Every way to take `count` different columns in some order. */
function choices(columns: readonly number[], count: number): readonly (readonly number[])[] {
	if (count === 0) return [[]];
	return columns.flatMap((column) =>
		choices(
			columns.filter((other) => other !== column),
			count - 1,
		).map((rest) => [column, ...rest]),
	);
}

function shown(cell: Json): string {
	const number = typeof cell === 'boolean' || cell === null || cell === '' ? Number.NaN : Number(cell);
	return Number.isFinite(number) ? String(Number(number.toPrecision(9))) : String(cell);
}
