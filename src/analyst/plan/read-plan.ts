import {isRecord} from '#contract/json.ts';
import {type PlanProblem, type QueryPlanInput, queryPlanSchema} from '#contract/query-plan.ts';
import {explain, join, MAX_PROBLEMS} from './explain.ts';

/** Bounds of what is looked at, so that a hostile plan costs its sender more than it costs us. */
const MAX_DEPTH = 40;
const MAX_NODES = 20_000;
const POISONED_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

type Read = {readonly input: QueryPlanInput} | {readonly problems: readonly PlanProblem[]};

/** Takes an untrusted value as a plan by shape alone. A null key counts as absent, as it does for many JSON writers. */
export function readPlan(input: unknown): Read {
	const problems: PlanProblem[] = [];
	const clean = withoutNulls(input, {problems, path: '', depth: 0, budget: {nodes: MAX_NODES}});
	if (problems.length > 0) return {problems: problems.slice(0, MAX_PROBLEMS)};
	const parsed = queryPlanSchema.safeParse(clean);
	if (parsed.success) return {input: parsed.data};
	const explained = explain(queryPlanSchema, clean, '');
	if (explained.length > 0) return {problems: explained.slice(0, MAX_PROBLEMS)};
	return {
		problems: parsed.error.issues.slice(0, MAX_PROBLEMS).map((issue) => ({path: issue.path.join('.'), message: issue.message})),
	};
}

type Walk = {
	readonly problems: PlanProblem[];
	readonly path: string;
	readonly depth: number;
	readonly budget: {nodes: number};
};

function withoutNulls(value: unknown, walk: Walk): unknown {
	const {problems, path, depth, budget} = walk;
	budget.nodes -= 1;
	if (budget.nodes === 0) problems.push({path: '', message: `the plan is too large; at most ${MAX_NODES} values`});
	if (budget.nodes <= 0) return null;
	const flaw = flawOf(value);
	if (flaw !== null) problems.push({path, message: flaw});
	if (typeof value !== 'object' || value === null) return value;
	if (depth >= MAX_DEPTH) {
		problems.push({path, message: `nested too deeply; at most ${MAX_DEPTH} levels`});
		return null;
	}
	if (Array.isArray(value)) {
		return value.map((element, index) => withoutNulls(element, {...walk, path: `${path}[${index}]`, depth: depth + 1}));
	}
	if (!isRecord(value)) return value;
	const clean: [string, unknown][] = [];
	for (const [key, inner] of Object.entries(value)) {
		if (POISONED_KEYS.has(key)) problems.push({path: join(path, key), message: `the key \`${key}\` is not allowed`});
		// `{value: null}` is the missing value itself; everywhere else null says "not given"
		else if (inner !== null || key === 'value')
			clean.push([key, withoutNulls(inner, {...walk, path: join(path, key), depth: depth + 1})]);
	}
	return Object.fromEntries(clean);
}

/** What is wrong with a text or a number by itself; null when nothing is. */
function flawOf(value: unknown): string | null {
	if (typeof value === 'string' && !isCleanText(value)) return 'text must not hold a NUL character or half of a surrogate pair';
	if (typeof value === 'number' && isInexact(value))
		return 'is a whole number beyond 2^53, which JSON does not hold to the last digit; write it as text';
	return null;
}

/** Beyond 38 digits no column holds whole numbers, so that only the size of such a number matters. */
function isInexact(value: number): boolean {
	return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e38;
}

function isCleanText(text: string): boolean {
	return !text.includes('\0') && text.isWellFormed();
}
