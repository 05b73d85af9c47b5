import {z} from 'zod';
import type {Verdict} from '#contract/event.ts';
import {type QueryPlan, queryPlanSchema} from '#contract/query-plan.ts';
import type {Tool} from '#kernel/tool.ts';
import {type Computing, computation, computedSchema, computeOver} from './compute.ts';
import {compilePlan} from './plan/compile-plan.ts';
import type {JoinCheck} from './plan/joins.ts';
import {requirePlan} from './plan/parse-plan.ts';
import {verifyComputed} from './verify.ts';

const inputSchema = z.strictObject({
	dataset_id: z.string().describe('the dataset to query'),
	// Checked against the dataset by `requirePlan`, whose problems say more than a schema can.
	plan: z
		.union([z.record(z.string(), z.unknown()), z.string().max(200_000)])
		.describe('the query plan, as an object or as JSON text'),
});

const joinReportSchema = z.object({
	left: z.string(),
	right: z.string(),
	cardinality: z.string(),
	leftRows: z.number(),
	matchedPercent: z.number().nullable(),
	/** joined rows per matched row: above 1, rows of the left side are counted more than once */
	duplication: z.number().nullable(),
});
type JoinReport = z.infer<typeof joinReportSchema>;

const outputSchema = computedSchema.extend({
	plan: z.record(z.string(), z.unknown()),
	sql: z.string(),
	/** the plan in one plain sentence */
	sentence: z.string(),
	joins: z.array(joinReportSchema),
	warnings: z.array(z.string()),
});
export type ComputedPlan = z.infer<typeof outputSchema>;

/** What a model is told of the plan's shape; the tool itself takes any object and explains what is wrong with it. */
export const planInputSchema = z.strictObject({dataset_id: z.string(), plan: queryPlanSchema});

export function createQueryPlanTool(computing: Computing): Tool<z.infer<typeof inputSchema>, ComputedPlan> {
	const {datasets, maxRows, maxBytes} = computing;
	return {
		...computation(computing),
		name: 'analyst.query_plan',
		version: '1',
		title: 'Query with a plan',
		description:
			'Runs a declarative query plan: table, joins, filters, groups, aggregates, order, limit. It is checked against the dataset and compiled to SQL.',
		input: inputSchema,
		output: outputSchema,
		risk: 'low',
		preview: ({plan}) => (typeof plan === 'string' ? plan : JSON.stringify(plan, null, 2)),
		async run({dataset_id, plan: given}, world) {
			const dataset = await datasets.get(world.principal.tenant, dataset_id);
			const plan = requirePlan(typeof given === 'string' ? parseText(given) : given, dataset);
			const {sql, sentence, joins, warnings} = compilePlan(plan, dataset);
			const request = (text: string) =>
				computeOver(dataset_id, computing, world, (views) => ({
					kind: 'sql',
					dataset: dataset_id,
					views: [...views],
					sql: text,
					maxRows,
					maxBytes,
				}));
			const [computed, ...reports] = await Promise.all([request(sql), ...joins.map((join) => measure(join, request))]);
			return {
				...computed,
				plan: {...plan} as Record<string, unknown>,
				sql,
				sentence,
				joins: reports,
				warnings: [...warnings, ...reports.flatMap(joinWarning)],
			};
		},
		verify: async (_input, output) => withPlanChecks(verifyComputed(output, computing), output),
	};
}

/** Text that is no JSON goes on as it is, so that the plan's own check names it. */
function parseText(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
}

async function measure(join: JoinCheck, request: (sql: string) => ReturnType<typeof computeOver>): Promise<JoinReport> {
	const {table} = await request(join.sql);
	const cell = (name: string) => {
		const value = table.rows[0]?.[table.columns.findIndex((column) => column.name === name)] ?? null;
		return value === null ? null : Number(value);
	};
	const {left, right, cardinality} = join;
	return {
		left,
		right,
		cardinality,
		leftRows: cell('left_rows') ?? 0,
		matchedPercent: cell('matched_percent'),
		duplication: cell('duplication_factor'),
	};
}

function joinWarning({left, right, matchedPercent, duplication}: JoinReport): readonly string[] {
	return [
		...(matchedPercent !== null && matchedPercent < 100
			? [`${round(100 - matchedPercent)} % of the rows of ${left} have no match in ${right}.`]
			: []),
		...(duplication !== null && duplication > 1
			? [
					`A row of ${left} that has matches in ${right} has ${round(duplication)} of them on average: sums over ${left} count it that often.`,
				]
			: []),
	];
}

function round(value: number): number {
	return Math.round(value * 100) / 100;
}

/** The columns that came back are the ones the plan promised. */
function withPlanChecks({checks}: Verdict, {plan, table, joins}: ComputedPlan): Verdict {
	const {select, joins: planned} = plan as unknown as QueryPlan;
	const promised = {
		name: 'columns',
		passed: select === null || select.length === table.columns.length,
		detail: `${table.columns.length} columns`,
	};
	const measured = {
		name: 'joins',
		passed: joins.length === planned.length,
		detail: `${joins.length} of ${planned.length} joins measured`,
	};
	const all = [...checks, promised, ...(planned.length > 0 ? [measured] : [])];
	return {kind: all.every((check) => check.passed) ? 'verified' : 'unverified', checks: all};
}
