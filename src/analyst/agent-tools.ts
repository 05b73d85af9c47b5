import {rm} from 'node:fs/promises';
import path from 'node:path';
import {z} from 'zod';
import type {Envelope} from '#agents/tool-reply.ts';
import type {AgentTool} from '#agents/turn.ts';
import {chartSchema} from '#contract/chart.ts';
import type {Dataset} from '#contract/dataset.ts';
import type {Json} from '#contract/json.ts';
import type {Outcome} from '#kernel/govern.ts';
import {fitDescription} from './agent-prompt.ts';
import {toErrorReply, toPlainReply, toTableReply} from './agent-reply.ts';
import {resultAction} from './answer.ts';
import type {Computed} from './compute.ts';
import type {Described} from './discover.ts';
import {type Exported, toLiteralSql} from './export.ts';
import {type ComputedPlan, planInputSchema} from './query-plan.ts';
import type {Turn} from './turn.ts';

/** The governed tools that compute over data: what an answer can be grounded in. */
export const EXECUTION_TOOLS: ReadonlySet<string> = new Set(['analyst.query_plan', 'analyst.sql', 'analyst.python']);

type Parts = {
	readonly turn: Turn;
	readonly dataset: Dataset;
	readonly envelope: Envelope;
	readonly pythonEnabled: boolean;
};

type Succeeded = Extract<Outcome, {kind: 'succeeded'}>;
type Reply = ReturnType<typeof toTableReply>;
type Offer = {
	readonly name: string;
	readonly description: string;
	readonly input: z.ZodType;
	readonly toProposal: AgentTool['toProposal'];
	readonly succeeded: (outcome: Succeeded) => Reply | Promise<Reply>;
};

/** The tools of the analyst under the names models are given, each standing for one governed tool. */
export function createAgentTools(parts: Parts): readonly AgentTool[] {
	const {dataset, envelope, pythonEnabled} = parts;
	const errors = {seen: 0};
	const offers = [
		...discovery(parts),
		...execution(parts).filter(({name}) => pythonEnabled || name !== 'execute_python'),
		...delivery(parts),
	];
	return offers.map(({name, description, input, toProposal, succeeded}) => ({
		name,
		description,
		inputSchema: toJsonSchema(input),
		toProposal,
		async toReply(outcome) {
			if (outcome.kind === 'succeeded') return succeeded(outcome);
			errors.seen += 1;
			return toErrorReply(envelope, outcome, dataset, errors.seen - 1);
		},
	}));
}

const datasetId = z.string().describe('the dataset of this conversation');

function discovery({dataset, envelope}: Parts): readonly Offer[] {
	return [
		{
			name: 'list_datasets',
			description: 'Names the datasets there are. This conversation is about one of them and can read no other.',
			input: z.strictObject({}),
			toProposal: () => ({tool: 'analyst.list_datasets', input: {}}),
			succeeded: ({output}) => toPlainReply(envelope, output as Json),
		},
		{
			name: 'get_dataset_schema',
			description: 'The tables of the dataset with their columns, types, ranges and frequent values.',
			input: z.strictObject({dataset_id: datasetId}),
			toProposal: (input) => ({tool: 'analyst.get_dataset_schema', input: within(dataset, input)}),
			succeeded: ({output}) => toPlainReply(envelope, fitDescription(output as Described, MOST_SCHEMA)),
		},
	];
}

/** Characters of a schema that was asked for. */
const MOST_SCHEMA = 48_000;

function execution({dataset, envelope}: Parts): readonly Offer[] {
	const succeeded = ({output}: Succeeded) => toTableReply(envelope, output as Computed & Partial<ComputedPlan>);
	return [
		{
			name: 'execute_query_plan',
			description:
				'Runs a query plan over the dataset: table, joins, select, filters, group_by, having, order_by, limit. It is checked against the schema and compiled to SQL. The first choice for every question it can express.',
			input: planInputSchema,
			toProposal: (input) => ({tool: 'analyst.query_plan', input: within(dataset, input)}),
			succeeded,
		},
		{
			name: 'execute_sql',
			description: 'Runs one SELECT (or WITH … SELECT) over the tables of the dataset, in DuckDB SQL.',
			input: z.strictObject({dataset_id: datasetId, sql: z.string()}),
			toProposal: (input) => ({tool: 'analyst.sql', input: within(dataset, input)}),
			succeeded,
		},
		{
			name: 'execute_python',
			description:
				'Runs Python with pandas as pd and numpy as np. Each table is a DataFrame of its own name and in dfs. Leave the answer in `result` or as the last expression.',
			input: z.strictObject({dataset_id: datasetId, python_code: z.string()}),
			toProposal: (input) => ({tool: 'analyst.python', input: within(dataset, input)}),
			succeeded,
		},
	];
}

function delivery({turn, dataset, envelope}: Parts): readonly Offer[] {
	const latest = () => {
		const {outcome} = resultAction(turn.run.journal.events) ?? {};
		return outcome?.status === 'succeeded' ? (outcome.output as Computed & {readonly sql?: string}) : null;
	};
	const nothing = {refusal: 'there is no result yet: run a query first'};
	return [
		{
			name: 'draw_chart',
			description:
				'Chooses how the last result is drawn. Fields are its columns; `description` says in words what the chart shows.',
			input: z.strictObject({chart: chartSchema}),
			toProposal(input) {
				const result = latest();
				if (!result) return nothing;
				return {tool: 'analyst.chart', input: {...(input as object), columns: result.table.columns.map(({name}) => name)}};
			},
			succeeded: ({output}) => toPlainReply(envelope, output as Json),
		},
		{
			name: 'export_result',
			description:
				'Computes the last result again without the row limit, as a file the user can download. Answer with the link it returns.',
			input: z.strictObject({format: z.enum(['csv', 'xlsx', 'parquet', 'json'])}),
			toProposal(input) {
				const result = latest();
				if (!result) return nothing;
				const sql = result.sql ?? toLiteralSql(result.table);
				const {format} = input as {format?: unknown};
				return {tool: 'analyst.export', input: {dataset_id: dataset.id, dataset_hash: result.dataset.hash, sql, format}};
			},
			async succeeded({output}) {
				const {path: file, format, bytes, rows, sha256} = output as Exported;
				// The link computes the file again for whoever follows it: a file left behind would have no owner.
				await rm(path.dirname(file), {recursive: true, force: true});
				return toPlainReply(envelope, {link: `/runs/${turn.run.id}/export?format=${format}`, format, bytes, rows, sha256});
			},
		},
	];
}

/** A call that leaves the dataset out means this one. One that names another is passed on as it is: the gates say no, on record. */
function within(dataset: Dataset, input: unknown): unknown {
	return {dataset_id: dataset.id, ...(input as object)};
}

function toJsonSchema(input: z.ZodType): Readonly<Record<string, unknown>> {
	const {$schema: _version, ...schema} = z.toJSONSchema(input, {io: 'input'});
	return schema;
}
