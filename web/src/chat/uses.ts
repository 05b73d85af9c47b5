import type {ScopeInput} from '#contract/scope.ts';

/** What a question may be answered with, as a person names it. */
export const USES = {plan: 'Query plans', sql: 'SQL', python: 'Python', chart: 'Charts'} as const;
export type Use = keyof typeof USES;

type Step = ScopeInput['steps'][number];

/** Starts of one tool in one turn; an agent that needs more has lost its way. */
const TIMES = 10;
const CODE = {text: 20_000} as const;
const SHAPE = {json: 20_000} as const;

const STEPS: Readonly<Record<Use, Step>> = {
	plan: {id: 'query-plan', tool: 'analyst.query_plan', times: TIMES, input: {plan: SHAPE}},
	sql: {id: 'sql', tool: 'analyst.sql', times: TIMES, input: {sql: CODE}},
	python: {id: 'python', tool: 'analyst.python', times: TIMES, input: {python_code: CODE}},
	chart: {
		id: 'chart',
		tool: 'analyst.chart',
		times: TIMES,
		input: {chart: SHAPE, columns: {each: {text: 1_000}, atMost: 1_000}},
	},
};

/** The dataset alone, by the tools that are named; its schema may always be read. */
export function scopeOf(uses: readonly Use[], datasetId: string): ScopeInput {
	const dataset = {dataset_id: {is: datasetId}};
	const schema: Step = {id: 'schema', tool: 'analyst.get_dataset_schema', times: TIMES, input: dataset};
	const steps = uses.map((use) => (use === 'chart' ? STEPS.chart : {...STEPS[use], input: {...dataset, ...STEPS[use].input}}));
	return {steps: [schema, ...steps]};
}
