import type {Dataset} from '#contract/dataset.ts';
import type {Kernel, MessageRow, Store} from '#kernel/ports.ts';
import type {ModelMessage} from '#models/model.ts';
import {toCapsule} from './answer.ts';
import type {Turn} from './turn.ts';

/** What a model is told of an earlier run, so that a follow-up can build on it. */
export type PreviousRun = {
	readonly question: string;
	readonly mode: string;
	readonly rows: number;
	readonly columns: readonly string[];
	readonly sql: string | null;
	readonly python: string | null;
};

type Memory = {readonly history: readonly ModelMessage[]; readonly previous: PreviousRun | null};

/** How many earlier runs are looked at for one that computed something. */
const MOST_LOOKED_AT = 5;
const MOST_COLUMNS = 15;
const MOST_CODE = 500;

export async function recall(
	{run, threadId}: Turn,
	dataset: Dataset,
	{store, historyWindow}: {readonly store: Store; readonly kernel: Kernel; readonly historyWindow: number},
): Promise<Memory> {
	if (threadId === null) return {history: [], previous: null};
	const {tenant} = run.journal.principal;
	const latest = await store.messages(tenant, threadId, historyWindow + 1);
	const earlier = latest.filter((message) => message.runId !== run.id).slice(-historyWindow);
	return {history: toHistory(earlier), previous: await previousRun(earlier, dataset, store)};
}

/** Providers want a conversation that a person began, and no empty messages. */
function toHistory(earlier: readonly MessageRow[]): readonly ModelMessage[] {
	const spoken = earlier.filter(({content}) => content.trim() !== '');
	const begin = spoken.findIndex(({role}) => role === 'user');
	return spoken
		.slice(begin === -1 ? spoken.length : begin)
		.map(({role, content}) => (role === 'user' ? {role, text: content} : {role, text: content, toolCalls: []}));
}

async function previousRun(earlier: readonly MessageRow[], dataset: Dataset, store: Store): Promise<PreviousRun | null> {
	const runs = [...new Set(earlier.filter(({datasetId}) => datasetId === dataset.id).map(({runId}) => runId))];
	for (const runId of runs.reverse().slice(0, MOST_LOOKED_AT)) {
		const row = await store.run(runId);
		if (row?.status !== 'succeeded') continue;
		const {question, details, result_json: result} = toCapsule(await store.read(runId), null);
		if (!result || !['sql', 'python', 'plan'].includes(details.query_mode)) continue;
		return {
			question: (question ?? '').slice(0, MOST_CODE),
			mode: details.query_mode,
			rows: result.total_rows ?? result.row_count,
			columns: result.columns.slice(0, MOST_COLUMNS),
			sql: details.compiled_sql?.slice(0, MOST_CODE) ?? null,
			python: details.python_code?.slice(0, MOST_CODE) ?? null,
		};
	}
	return null;
}
