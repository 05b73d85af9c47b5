/** An analyst that computes nothing: it records real runs in a real store and does as the question says, for tests of HTTP alone. */
import type {Analyst, Caller} from '#analyst/analyst.ts';
import type {Capsule, ChatResponse, Details, Result} from '#contract/api.ts';
import type {Dataset} from '#contract/dataset.ts';
import {WritError} from '#contract/errors.ts';
import type {RunStatus} from '#contract/event.ts';
import type {Store} from '#kernel/ports.ts';
import {batch, finished, started} from '#store/sample-run.ts';

export type AnalystDouble = Analyst & {
	/** what `add` was given */
	readonly added: {readonly id?: string; readonly files: readonly {readonly name: string; readonly text: string}[]}[];
	/** lets a run whose question is `wait` go on */
	readonly goOn: () => void;
	readonly resumed: string[];
};

type Files = {readonly read: (path: string) => Promise<string>; readonly export: () => Promise<string>};

export const SUPPORT: Dataset = {
	id: 'support',
	name: 'Support Tickets',
	description: 'tickets of a help desk',
	hash: 'h1',
	tables: [
		{
			name: 'tickets',
			file: 'tickets.parquet',
			sha256: 'a'.repeat(64),
			source: {name: 'tickets.csv', bytes: 10, sha256: 'b'.repeat(64), format: 'csv'},
			rows: 2,
			description: '',
			columns: [
				{name: 'id', type: 'integer', engineType: 'BIGINT', description: '', nulls: 0, distinct: 2, min: 1, max: 2},
				{
					name: 'note',
					type: 'text',
					engineType: 'VARCHAR',
					description: 'free text',
					nulls: 1,
					distinct: 1,
					min: null,
					max: null,
				},
			],
			notices: [],
		},
	],
	relationships: [],
	now: null,
	prompts: ['how many?'],
	tags: [],
	createdAt: '2026-03-01T12:00:00.000Z',
};

const RESULT: Result = {
	columns: ['n'],
	column_types: ['integer'],
	rows: [[2]],
	row_count: 1,
	total_rows: 1,
	truncated: null,
	exec_time_ms: 1,
	error: null,
};

const DETAILS: Details = {
	dataset_id: 'support',
	query_mode: 'chat',
	plan_json: null,
	plan_sentence: null,
	compiled_sql: null,
	python_code: null,
	chart: null,
	warnings: [],
	suggestions: [],
	approval_id: null,
};

export function createAnalystDouble(store: Store, files: Files): AnalystDouble {
	const state = {runs: 0, gate: Promise.withResolvers<void>()};
	const added: AnalystDouble['added'] = [];
	const resumed: string[] = [];

	const work = async (question: string, threadId: string | null, caller: Caller): Promise<ChatResponse> => {
		state.runs += 1;
		const runId = `run_${state.runs}`;
		await store.append(batch({runId, expectedSeq: 0}, started({principal: caller.principal, question, threadId})));
		caller.accepted?.(runId);
		caller.emit?.({event: 'status', data: {stage: 'planning'}});
		if (question === 'wait') await aborted(state.gate.promise, caller.signal);
		if (question === 'crash') throw new TypeError('secret detail of a bug');
		if (question === 'fail') throw new WritError('store_unavailable', 'the store cannot be written');
		caller.emit?.({event: 'token', data: {content: 'two'}});
		const status: RunStatus = caller.signal.aborted ? 'cancelled' : 'succeeded';
		await store.append(batch({runId, expectedSeq: 1}, finished(status)));
		return {assistant_message: 'two', run_id: runId, thread_id: threadId, status, result: RESULT, details: DETAILS};
	};

	const assertKnown = (id: string) => {
		if (id !== 'support') throw new WritError('not_found', 'Dataset not found', {hint: 'GET /datasets lists them'});
	};

	return {
		added,
		resumed,
		goOn: () => state.gate.resolve(),
		datasets: async () => [SUPPORT],
		async dataset(_tenant, id) {
			assertKnown(id);
			return SUPPORT;
		},
		assertMayDescribe: async (id) => assertKnown(id),
		sample: async (_id, _table, limit) =>
			[
				{id: 1, note: null},
				{id: 2, note: 'x'},
			].slice(0, limit),
		async add(dataset) {
			const given = await Promise.all(dataset.files.map(async ({name, path}) => ({name, text: await files.read(path)})));
			added.push({...(dataset.id && {id: dataset.id}), files: given});
			return SUPPORT;
		},
		async chat(request, caller) {
			assertKnown(request.dataset_id);
			return work(request.message, request.thread_id ?? 'thread-1', caller);
		},
		perform: ({mode}, caller) => work(mode, null, caller),
		async run(request, caller) {
			assertKnown(request.dataset_id);
			if (!request.sql) throw new WritError('invalid_request', 'sql is required');
			return work(request.sql, null, caller);
		},
		rerun: (_runId, caller) => work('again', null, caller),
		async resume(runId, caller) {
			resumed.push(runId);
			return work('resumed', null, caller);
		},
		capsule: async (_tenant, runId) => capsuleOf(runId, (await store.run(runId))?.status ?? 'unknown'),
		async export(runId, format) {
			const path = await files.export();
			return {runId, path, name: `${runId}.${format}`, mediaType: 'text/csv', bytes: 4, sha256: 'c'.repeat(64), truncated: false};
		},
	};
}

function capsuleOf(runId: string, status: RunStatus): Capsule {
	return {
		run_id: runId,
		created_at: '2026-03-01T12:00:00.000Z',
		dataset_id: 'support',
		dataset_version_hash: 'h1',
		question: null,
		query_mode: 'chat',
		plan_json: null,
		compiled_sql: null,
		python_code: null,
		status,
		result_json: RESULT,
		error_json: null,
		exec_time_ms: 1,
		thread_id: null,
		assistant_message: 'two',
		actions: [],
		head: null,
		details: DETAILS,
	};
}

async function aborted(gate: Promise<void>, signal: AbortSignal): Promise<void> {
	const {promise, resolve} = Promise.withResolvers<void>();
	signal.addEventListener('abort', () => resolve(), {once: true});
	await Promise.race([gate, promise]);
}
