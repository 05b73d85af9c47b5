/** Answers a turn with the built-in planner: one governed query plan, words made from its result, and how the question was read. */
import {checkAnswer} from '#agents/grounding.ts';
import type {Dataset} from '#contract/dataset.ts';
import type {QueryPlan} from '#contract/query-plan.ts';
import type {Table} from '#contract/table.ts';
import type {Outcome} from '#kernel/govern.ts';
import type {Store} from '#kernel/ports.ts';
import {toCapsule} from '../answer.ts';
import type {Computed} from '../compute.ts';
import {parsePlan} from '../plan/parse-plan.ts';
import {human, summarise} from '../summary.ts';
import {type Answer, type Answerer, outcomeError, outcomeText, type Turn} from '../turn.ts';
import {type Planned, planQuestion} from './plan-question.ts';
import {inWords, type PlannedQuery} from './reading-words.ts';

type PlannerOptions = {readonly store: Store};

export function createPlannerAnswerer({store}: PlannerOptions): Answerer {
	return async (turn) => {
		const {dataset} = turn;
		if (!dataset) return said('There is no dataset to ask about.');
		const previous = await previousPlan(turn, dataset, store);
		const planned = planQuestion(turn.question, dataset, {previous});
		const answer = await answerWith(planned, turn, dataset);
		await recordCheck(answer, planned, turn, dataset);
		return answer;
	};
}

function said(text: string, suggestions: readonly string[] = []): Answer {
	return {text, suggestions, outcome: null, error: null};
}

async function answerWith(planned: Planned, turn: Turn, dataset: Dataset): Promise<Answer> {
	if (planned.kind === 'chat') return said(planned.text, dataset.prompts.slice(0, 3));
	if (planned.kind === 'abstain') return said(`I cannot answer that without guessing: ${planned.reason}.`, planned.suggestions);
	const outcome = await turn.act('analyst.query_plan', {dataset_id: dataset.id, plan: planned.plan});
	return {text: words(outcome, planned, dataset), suggestions: [], outcome, error: outcomeError(outcome)};
}

/** What came out; then how the question was read and what was taken for granted, in a paragraph of its own. */
function words(outcome: Outcome, planned: PlannedQuery, dataset: Dataset): string {
	if (outcome.kind !== 'succeeded') return outcomeText(outcome);
	const {table} = outcome.output as Computed;
	const result = isNothing(table) ? nothing(table, planned) : summarise(table);
	const {reading, assumptions} = inWords(planned, dataset);
	const granted = assumptions.length > 0 ? ` I assumed that ${assumptions.join('; ')}.` : '';
	return `${result}\n\nI read this as: ${reading}.${granted}`;
}

/** Aggregates over nothing: a line in which nothing stands. */
function isNothing({rows}: Table): boolean {
	return rows.length > 0 && rows.every((row) => row.every((cell) => cell === null));
}

/** Which need not mean that no rows matched. */
function nothing({columns, nonFinite}: Table, {plan}: PlannedQuery): string {
	const what = columns.map(({name}) => human(name)).join(' or ');
	if (nonFinite > 0) return `There is no finite ${what}.`;
	return `There is no ${what}: ${plan.filters ? 'no rows matched, or they have no value there' : 'no row has a value there'}.`;
}

async function recordCheck(answer: Answer, planned: Planned, {run, question, emit}: Turn, dataset: Dataset): Promise<void> {
	if (answer.outcome && answer.outcome.kind !== 'succeeded') return;
	emit({event: 'status', data: {stage: 'verifying'}});
	const results = answer.outcome?.kind === 'succeeded' ? [(answer.outcome.output as Computed).table] : [];
	const facts = planned.kind === 'plan' ? factsOf(planned, dataset) : schemaFacts(dataset);
	const data = checkAnswer({answer: answer.text, question, results, facts});
	await run.journal.append({type: 'answer.checked', actor: run.journal.principal, data});
}

function factsOf(planned: PlannedQuery, dataset: Dataset): readonly string[] {
	const {reading, assumptions} = inWords(planned, dataset);
	return [planned.reading, ...planned.assumptions, reading, ...assumptions];
}

function schemaFacts({name, description, prompts, tables}: Dataset): readonly string[] {
	const columns = tables.flatMap((table) =>
		table.columns.flatMap(({name: column, min, max}) => [column, String(min), String(max)]),
	);
	return [
		name,
		description,
		...prompts,
		...tables.flatMap((table) => [table.name, String(table.rows)]),
		String(tables.length),
		...columns,
	];
}

/** How many earlier runs are looked at for one that ran a plan. */
const MOST_LOOKED_AT = 5;

/** The plan of the thread's last successful run over the same dataset, which "and by category?" goes on from. */
async function previousPlan({run, threadId}: Turn, dataset: Dataset, store: Store): Promise<QueryPlan | undefined> {
	if (threadId === null) return undefined;
	const messages = await store.messages(run.journal.principal.tenant, threadId, 2 * MOST_LOOKED_AT);
	const earlier = messages.filter(({runId, datasetId}) => runId !== run.id && datasetId === dataset.id).map(({runId}) => runId);
	for (const runId of [...new Set(earlier)].reverse()) {
		const row = await store.run(runId);
		if (row?.status !== 'succeeded') continue;
		const {plan_json: plan} = toCapsule(await store.read(runId), null);
		const parsed = plan ? parsePlan(plan, dataset) : null;
		if (parsed && 'plan' in parsed) return parsed.plan;
	}
	return undefined;
}
