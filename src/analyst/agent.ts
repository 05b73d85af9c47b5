/**
 * The analyst's agent: a model that answers questions over one dataset with this room's tools. It proposes; what it is shown of
 * results is capped and labelled, and what it says is checked against what was computed.
 */
import {type Claim, checkAnswer} from '#agents/grounding.ts';
import {createEnvelope} from '#agents/tool-reply.ts';
import {type Acted, runTurn, TURN_LIMITS, type TurnEnd} from '#agents/turn.ts';
import type {Dataset} from '#contract/dataset.ts';
import type {ErrorBody} from '#contract/errors.ts';
import type {Json} from '#contract/json.ts';
import {govern, type Outcome} from '#kernel/govern.ts';
import type {Kernel, Store} from '#kernel/ports.ts';
import type {Model} from '#models/model.ts';
import {recall} from './agent-memory.ts';
import {writePrompt} from './agent-prompt.ts';
import {createAgentTools, EXECUTION_TOOLS} from './agent-tools.ts';
import type {Computed} from './compute.ts';
import {DESCRIBE, type Described, describe} from './discover.ts';
import {lookOf} from './looks.ts';
import type {ComputedPlan} from './query-plan.ts';
import {type Answer, type Answerer, outcomeError, outcomeText, type Turn} from './turn.ts';

export type ModelAnswererOptions = {
	readonly model: Model;
	readonly kernel: Kernel;
	readonly store: Store;
	/** earlier messages of the thread a model is shown */
	readonly historyWindow: number;
	readonly pythonEnabled: boolean;
	readonly maxRows: number;
};

export function createModelAnswerer(options: ModelAnswererOptions): Answerer {
	return async (turn) => {
		const {dataset} = turn;
		if (!dataset) return {text: 'There is no dataset to ask about.', suggestions: [], outcome: null, error: null};
		const look = await lookAt(dataset, turn, options.kernel);
		if (look.kind !== 'succeeded') {
			const text = `The language model was asked nothing, because it may not be shown this dataset. ${outcomeText(look)}`;
			return {text, suggestions: [], outcome: look, error: outcomeError(look)};
		}
		const end = await ask(turn, {dataset, described: look.output as Described}, options);
		const answer = toAnswer(end);
		if (end.kind === 'answered') {
			turn.emit({event: 'status', data: {stage: 'verifying'}});
			const {journal} = turn.run;
			await journal.append({
				type: 'answer.checked',
				actor: journal.principal,
				data: checkAnswer(claimOf(answer.text, end.acted, turn, dataset)),
			});
		}
		return answer;
	};
}

/**
 * INVARIANT: what a model is told of a dataset is the output of an action of its own run, so nothing is sent that policy keeps from it. A
 * run that is taken up again goes on with the look that was asked for; one that broke off is repeated.
 */
async function lookAt(dataset: Dataset, {run: {journal, signal}}: Turn, kernel: Kernel): Promise<Outcome> {
	const look = {tool: DESCRIBE, input: {dataset_id: dataset.id}};
	const asked = lookOf(journal.events);
	const outcome = asked && (await govern({...look, id: asked.actionId}, journal, kernel, signal));
	return outcome && outcome.kind !== 'unknown' ? outcome : govern({...look, id: kernel.newId('act')}, journal, kernel, signal);
}

type Seen = {readonly dataset: Dataset; readonly described: Described};

async function ask(turn: Turn, {dataset, described}: Seen, options: ModelAnswererOptions): Promise<TurnEnd> {
	const {kernel, model, pythonEnabled, maxRows} = options;
	const {journal, signal} = turn.run;
	const envelope = createEnvelope(kernel.digest([turn.run.id, dataset.hash]).slice(0, 12));
	const {history, previous} = await recall(turn, dataset, options);
	return runTurn({
		model,
		kernel,
		journal,
		signal,
		emit: turn.emit,
		act: turn.act,
		system: writePrompt({described, envelope, previous, pythonEnabled, maxRows}),
		messages: [...history, {role: 'user', text: turn.question}],
		tools: createAgentTools({turn, dataset, envelope, pythonEnabled}),
		limits: {...TURN_LIMITS, toolCalls: kernel.budget.actions - 1}, // the look was an action too
	});
}

/** The last computation that succeeded gives the table; when none did, the last one says why. */
function toAnswer(end: TurnEnd): Answer {
	const computations = end.acted.filter(({tool}) => EXECUTION_TOOLS.has(tool)).map(({outcome}) => outcome);
	const outcome = computations.findLast(({kind}) => kind === 'succeeded') ?? computations.at(-1) ?? null;
	switch (end.kind) {
		case 'answered':
			return {text: end.text, suggestions: [], outcome, error: outcome && outcomeError(outcome)};
		case 'awaiting_approval':
			return {text: outcomeText(end.outcome), suggestions: [], outcome: end.outcome, error: null};
		case 'stopped':
			return {text: stoppedText(end.error, outcome), suggestions: [], outcome, error: end.error};
	}
}

function stoppedText({code, message, hint}: ErrorBody, outcome: Outcome | null): string {
	const kept = outcome?.kind === 'succeeded' ? ' The last result that was computed is shown.' : '';
	const advice = hint ? ` You can ${hint}.` : '';
	if (code === 'cancelled') return `This was cancelled before there was an answer.${kept}`;
	if (code === 'budget_exceeded' || code === 'agent_recursion_limit') {
		return `I stopped at my reasoning limit before I had an answer: ${message}.${advice}${kept}`;
	}
	return `The language model could not be used: ${message}.${advice}${kept} Questions that start with \`SQL:\` need no model.`;
}

const DELIVERY_TOOLS: ReadonlySet<string> = new Set(['analyst.chart', 'analyst.export']);

function claimOf(answer: string, acted: readonly Acted[], turn: Turn, dataset: Dataset): Claim {
	const succeeded = acted.flatMap(({tool, outcome}) => (outcome.kind === 'succeeded' ? [{tool, output: outcome.output}] : []));
	const computed = succeeded
		.filter(({tool}) => EXECUTION_TOOLS.has(tool))
		.map(({output}) => output as Computed & Partial<ComputedPlan>);
	const beside = computed.map(({stdout, joins = [], warnings = []}) => JSON.stringify([stdout, joins, warnings]));
	const delivered = succeeded.filter(({tool}) => DELIVERY_TOOLS.has(tool)).map(({output}) => JSON.stringify(output));
	return {
		answer,
		question: turn.question,
		results: computed.map(({table}) => table),
		facts: [...schemaFacts(dataset), ...beside, ...delivered],
	};
}

/** What the description says in numbers: counts and ranges, and values that are text. A number that is merely frequent is no fact. */
function schemaFacts(dataset: Dataset): readonly string[] {
	const {hash: _digits, tables, ...described} = describe(dataset);
	const facts = tables.map((table) => ({
		...table,
		columns: table.columns.map((column) => ({...column, values: column.values.filter(isText)})),
	}));
	const columns = tables.map((table) => table.columns.length);
	const counts = [tables.length, described.relationships.length, ...columns, columns.reduce((sum, count) => sum + count, 0)];
	return [JSON.stringify([described, facts]), counts.join(' ')];
}

function isText(value: Json): boolean {
	return typeof value === 'string' && Number.isNaN(Number(value));
}
