import {randomUUID} from 'node:crypto';
import path from 'node:path';
import type {OpenRun, Runs} from '#agents/runs.ts';
import type {Capsule, ChatRequest, ChatResponse, RunRequest} from '#contract/api.ts';
import type {Dataset} from '#contract/dataset.ts';
import {toErrorBody, WritError} from '#contract/errors.ts';
import type {Event, EventData, Principal} from '#contract/event.ts';
import type {Json} from '#contract/json.ts';
import {type Scope, scopeSchema} from '#contract/scope.ts';
import {assertWhole} from '#evidence/content.ts';
import {agentFor} from '#kernel/delegate.ts';
import type {Outcome} from '#kernel/govern.ts';
import type {Store} from '#kernel/ports.ts';
import {withdraw} from '#kernel/withdraw.ts';
import type {Analyst, Caller, ExportedFile, ExportFormat, NewDataset, Task} from './analyst.ts';
import {resultAction, toCapsule} from './answer.ts';
import type {Computed} from './compute.ts';
import type {Datasets} from './datasets.ts';
import {DESCRIBE} from './discover.ts';
import {discardExport, EXPORT_MODE, type Exported, toLiteralSql} from './export.ts';
import {tasksOf} from './looks.ts';
import {requirePlan} from './plan/parse-plan.ts';
import {Remembered} from './remembered.ts';
import {INGEST_MODE} from './source-files.ts';
import {type Acting, type Answer, type Answerer, act, answerFrom, conclude, outcomeError, type Turn} from './turn.ts';

export type AnalystOptions = Acting & {
	readonly datasets: Datasets;
	readonly runs: Runs;
	readonly store: Store;
	readonly answer: Answerer;
	/** the platform's version, part of the evidence */
	readonly software: string;
};

type Beginning = {
	readonly dataset: Dataset | null;
	readonly mode: string;
	readonly threadId?: string | null | undefined;
	readonly question?: string;
	/** who proposes: the caller, or an agent on the caller's behalf */
	readonly actor?: Principal;
	readonly job?: 'analyst' | 'system';
	readonly scope?: Scope;
	/** the run whose result is taken out */
	readonly exportOf?: string;
};

/** What a chat prefix or a `query_type` names directly. */
const TOOLS = {sql: 'analyst.sql', python: 'analyst.python', plan: 'analyst.query_plan'} as const;

const MEDIA_TYPES: Record<ExportFormat, string> = {
	csv: 'text/csv; charset=utf-8',
	xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
	parquet: 'application/vnd.apache.parquet',
	json: 'application/json',
};

type Rows = readonly Readonly<Record<string, Json>>[];

const MOST_LOOKS = 500;

export class AnalystRoom implements Analyst {
	readonly #options: AnalystOptions;
	/** snapshots never change, so neither does what is read of them for who only looks */
	readonly #looks = new Remembered(MOST_LOOKS);

	constructor(options: AnalystOptions) {
		this.#options = options;
	}

	datasets(tenant: string): Promise<readonly Dataset[]> {
		return this.#options.datasets.list(tenant);
	}

	dataset(tenant: string, id: string): Promise<Dataset> {
		return this.#options.datasets.get(tenant, id);
	}

	async chat({dataset_id, message, thread_id, scope}: ChatRequest, caller: Caller): Promise<ChatResponse> {
		const {tenant} = caller.principal;
		const dataset = await this.dataset(tenant, dataset_id);
		const threadId = thread_id || `thread-${randomUUID()}`;
		const code = codeIn(message);
		const actor: Principal = code ? caller.principal : agentFor(caller.principal, 'analyst');
		const task = code && {tool: code.tool, input: {dataset_id, ...code.input}};
		const asked = task ?? {tool: DESCRIBE, input: {dataset_id}};
		const confined = scope === undefined ? {} : {scope: withTask(asked, scope)};
		const turn = await this.#begin({dataset, mode: 'chat', threadId, question: message, actor, ...confined}, caller);
		return this.#chat(turn);
	}

	async run({dataset_id, query_type, sql, python_code, plan_json, thread_id}: RunRequest, caller: Caller): Promise<ChatResponse> {
		const dataset = await this.dataset(caller.principal.tenant, dataset_id);
		const [field, content] = {sql: ['sql', sql], python: ['python_code', python_code], plan: ['plan_json', plan_json]}[
			query_type
		] as [string, unknown];
		if (!content) throw new WritError('invalid_request', `query_type \`${query_type}\` needs \`${field}\``, {details: {field}});
		if (query_type === 'plan') requirePlan(content, dataset);
		const turn = await this.#begin({dataset, mode: query_type, threadId: thread_id}, caller);
		return this.#direct(turn, {tool: TOOLS[query_type], input: {dataset_id, [query_type === 'plan' ? 'plan' : field]: content}});
	}

	async perform(task: Task, caller: Caller): Promise<ChatResponse> {
		const {tool, input, mode, scope} = task;
		const confined = scope === undefined ? {} : {scope: withTask(task, scope)};
		return this.#direct(await this.#begin({dataset: null, mode, ...confined}, caller), {tool, input});
	}

	async rerun(runId: string, caller: Caller): Promise<ChatResponse> {
		const events = await this.#events(caller.principal.tenant, runId);
		assertWhole(events, runId);
		const {mode, question, threadId, dataset, scope, exportOf} = startOf(events);
		if (!dataset) throw new WritError('invalid_request', `run \`${runId}\` is an ${mode}, which is not run again`);
		if (mode === 'chat') {
			const again = {dataset_id: dataset.id, message: question ?? '', thread_id: threadId};
			return this.chat({...again, ...(scope && {scope: withoutTask(scope)})}, caller);
		}
		const action = events.find((event) => event.type === 'action.proposed');
		if (!action) throw new WritError('invalid_request', `run \`${runId}\` did nothing that could be done again`);
		const present = await this.dataset(caller.principal.tenant, dataset.id);
		const turn = await this.#begin({dataset: present, mode, threadId, ...(exportOf !== undefined && {exportOf})}, caller);
		return this.#direct(turn, {tool: action.data.tool, input: action.data.input});
	}

	async resume(runId: string, caller: Caller): Promise<ChatResponse> {
		await this.#events(caller.principal.tenant, runId);
		return this.#carryOn(await this.#options.runs.take(runId, caller.signal), caller.emit);
	}

	/** Ends or continues a run whose holder went away. */
	async recover(run: OpenRun): Promise<void> {
		await this.#carryOn(run);
	}

	async capsule(tenant: string, runId: string): Promise<Capsule> {
		return toCapsule(await this.#events(tenant, runId), await this.#options.store.head(runId));
	}

	async assertMayDescribe(id: string, caller: Caller): Promise<void> {
		const dataset = await this.dataset(caller.principal.tenant, id);
		await this.#look({tool: DESCRIBE, input: {dataset_id: id}}, dataset, caller);
	}

	async sample(id: string, table: string, limit: number, caller: Caller): Promise<Rows> {
		const dataset = await this.dataset(caller.principal.tenant, id);
		const sql = `SELECT * FROM "${table.replaceAll('"', '""')}" LIMIT ${limit}`;
		const {table: found} = (await this.#look({tool: TOOLS.sql, input: {dataset_id: id, sql}}, dataset, caller)) as Computed;
		const names = found.columns.map(({name}) => name);
		return found.rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? null])));
	}

	/** Decides every time, as the caller; computes once. Who only looks does not wait for a person, so nobody is asked. */
	async #look({tool, input}: Pick<Task, 'tool' | 'input'>, dataset: Dataset, caller: Caller): Promise<unknown> {
		const {kernel} = this.#options;
		const known = JSON.stringify([caller.principal.tenant, dataset.id, dataset.hash, tool, input]);
		const tools = this.#looks.remembering(known, tool, kernel.tools);
		const turn = await this.#begin({dataset, mode: 'sql', job: 'system'}, caller);
		const propose = async () => {
			const outcome = await act(turn, {...this.#options, kernel: {...kernel, tools}}, {tool, input});
			if (outcome.kind !== 'awaiting_approval') return outcome;
			return withdraw(outcome.actionId, turn.run.journal, kernel, unasked());
		};
		return this.#effect({...turn, act: propose}, tool, input);
	}

	async add(input: NewDataset, caller: Caller): Promise<Dataset> {
		const turn = await this.#begin({dataset: null, mode: INGEST_MODE}, caller);
		return (await this.#effect(turn, 'dataset.add', input)) as Dataset;
	}

	async export(runId: string, format: ExportFormat, caller: Caller): Promise<ExportedFile> {
		const events = await this.#events(caller.principal.tenant, runId);
		const output = resultAction(events)?.outcome?.output as (Computed & {readonly sql?: string}) | undefined;
		if (!output) throw new WritError('invalid_request', `run \`${runId}\` has no result to export`);
		const dataset = await this.#options.datasets.at(caller.principal.tenant, output.dataset.id, output.dataset.hash);
		const sql = output.sql ?? toLiteralSql(output.table);
		const turn = await this.#begin({dataset, mode: EXPORT_MODE, exportOf: runId}, caller);
		const input = {dataset_id: dataset.id, dataset_hash: dataset.hash, sql, format};
		const file = (await this.#effect(turn, 'analyst.export', input)) as Exported;
		const {bytes, sha256, truncated} = file;
		return {
			runId: turn.run.id,
			path: path.resolve(file.path),
			name: `${runId}.${format}`,
			mediaType: MEDIA_TYPES[format],
			bytes,
			sha256,
			truncated,
		};
	}

	async #begin(beginning: Beginning, caller: Caller): Promise<Turn> {
		const {dataset, mode, threadId, question, actor, job = 'analyst', scope, exportOf} = beginning;
		const {runs, kernel, software} = this.#options;
		const started: EventData<'run.started'> = {
			job,
			mode,
			threadId: threadId ?? null,
			question: question ?? null,
			dataset: dataset && {id: dataset.id, hash: dataset.hash},
			principal: caller.principal,
			software,
			policyVersion: kernel.policy().version,
			...(scope && {scope}),
			...(exportOf !== undefined && {exportOf}),
		};
		const run = await runs.open(started, actor ?? caller.principal, caller.signal);
		caller.accepted?.(run.id);
		return this.#turn(run, dataset, caller.emit);
	}

	#turn(run: OpenRun, dataset: Dataset | null, emit: Turn['emit'] = () => {}): Turn {
		const {threadId, question} = startOf(run.journal.events);
		const turn = {run, dataset, emit, threadId, question: question ?? ''};
		return {...turn, act: (tool, input) => act(turn, this.#options, {tool, input})};
	}

	async #chat(turn: Turn): Promise<ChatResponse> {
		return this.#ended(turn, async () => {
			await hear(turn);
			const code = codeIn(turn.question);
			if (code) return answerFrom(await turn.act(code.tool, {dataset_id: turn.dataset?.id, ...code.input}));
			turn.emit({event: 'status', data: {stage: 'planning'}});
			return this.#options.answer(turn);
		});
	}

	#direct(turn: Turn, proposal: {readonly id?: string; readonly tool: string; readonly input: unknown}): Promise<ChatResponse> {
		return this.#ended(turn, async () => {
			const outcome = await act(turn, this.#options, proposal);
			// Whoever asked for the file has gone: the run is done again, or goes on after an approval.
			const isLeft = proposal.tool === 'analyst.export' && outcome.kind === 'succeeded';
			if (isLeft) await discardExport(outcome.output as Exported);
			return answerFrom(outcome);
		});
	}

	/** Does one thing whose output the caller wants; what went wrong is thrown after it is on record. */
	async #effect(turn: Turn, tool: string, input: unknown): Promise<unknown> {
		const done: {outcome: Outcome | null} = {outcome: null};
		await this.#ended(turn, async () => {
			done.outcome = await turn.act(tool, input);
			return {text: '', suggestions: [], outcome: done.outcome, error: outcomeError(done.outcome)};
		});
		if (done.outcome?.kind === 'succeeded') return done.outcome.output;
		const error = done.outcome && outcomeError(done.outcome);
		if (!error) throw new WritError('policy_denied', "this needs a person's approval first", {hint: 'see `writ approvals list`'});
		throw new WritError(error.code, error.message, {...(error.hint ? {hint: error.hint} : {}), details: error.details});
	}

	/** Ends the run whatever `work` does, except when its end cannot be written: then whoever recovers it ends it. */
	async #ended(turn: Turn, work: () => Promise<Answer>): Promise<ChatResponse> {
		try {
			return await conclude(turn, await work());
		} catch (error) {
			turn.run.park();
			if (!(error instanceof WritError)) this.#options.kernel.report(error);
			throw error instanceof WritError ? error : new WritError('internal_error', toErrorBody(error).message, {cause: error});
		}
	}

	/** Goes on where the events of a run stop; nothing that may have happened is done again. */
	async #carryOn(run: OpenRun, emit?: Turn['emit']): Promise<ChatResponse> {
		const {events, principal} = run.journal;
		const {dataset: subject, mode} = startOf(events);
		const failed = (error: WritError) => ({text: error.message, suggestions: [], outcome: null, error: error.toJSON()});
		const dataset = subject && (await this.#options.datasets.at(principal.tenant, subject.id, subject.hash).catch(asValue));
		if (dataset instanceof WritError) return this.#ended(this.#turn(run, null, emit), async () => failed(dataset));
		const turn = this.#turn(run, dataset, emit);
		if (tasksOf(events, mode).length > 0) return this.#ended(turn, async () => answerFrom(await this.#finishTasks(turn, mode)));
		if (mode === 'chat') return this.#chat(turn);
		const interrupted = new WritError('interrupted', 'the platform stopped before this run had done anything');
		return this.#ended(turn, async () => failed(interrupted));
	}

	/**
	 * Takes up all that a run was to do. What has an outcome keeps it, and what broke off is said to be unknown, so only what was granted is
	 * carried out. The outcome is what still waits, else the last success of what people were asked for, else that of the last task.
	 */
	async #finishTasks(turn: Turn, mode: string): Promise<Outcome> {
		const {events} = turn.run.journal;
		const tasks = tasksOf(events, mode);
		const asked = new Set(events.flatMap(({type, data}) => (type === 'approval.requested' ? [data.actionId] : [])));
		const outcomes: Outcome[] = [];
		for (const {actionId: id, tool, input} of tasks) outcomes.push(await act(turn, this.#options, {id, tool, input}));
		const waiting = outcomes.find(({kind}) => kind === 'awaiting_approval');
		const done = outcomes.findLast(({kind, actionId}) => kind === 'succeeded' && asked.has(actionId));
		return waiting ?? done ?? (outcomes.at(-1) as Outcome);
	}

	async #events(tenant: string, runId: string): Promise<readonly Event[]> {
		const row = await this.#options.store.run(runId);
		if (row?.tenant !== tenant)
			throw new WritError('not_found', `there is no run \`${runId}\``, {hint: 'list them with `writ runs`'});
		return this.#options.store.read(runId);
	}
}

const ASKED_FOR = 'asked-for';

/** The scope as it was given, before what was asked for joined it. */
function withoutTask({steps}: Scope): Scope {
	return {steps: steps.filter(({id}) => id !== ASKED_FOR)};
}

/** What the caller asks for is in the scope of the run too: exactly so, and once. */
function withTask({tool, input}: Pick<Task, 'tool' | 'input'>, {steps}: Scope): Scope {
	const exact = Object.entries(input).flatMap(([name, value]) => (value === undefined ? [] : [[name, {is: value as Json}]]));
	const whole = scopeSchema.safeParse({steps: [{id: ASKED_FOR, tool, input: Object.fromEntries(exact)}, ...steps]});
	if (whole.success) return whole.data;
	throw new WritError('validation_error', `the scope: ${whole.error.issues.map(({message}) => message).join('; ')}`, {
		hint: `the step \`${ASKED_FOR}\` is the request itself, which is one more than are named`,
	});
}

function unasked(): WritError {
	return new WritError('policy_denied', "this takes a person's approval, and nobody is asked to approve that it is shown");
}

/** A failure the platform can name; anything else is thrown on. */
function asValue(error: unknown): WritError {
	if (error instanceof WritError) return error;
	throw error;
}

/** `sql: …` and `python: …` bypass the agent: the text after the first colon is the code. */
function codeIn(message: string): {readonly tool: string; readonly input: Readonly<Record<string, string>>} | null {
	const [, prefix, code] = /^(sql|python):(.*)$/is.exec(message.trim()) ?? [];
	if (prefix === undefined || code === undefined) return null;
	return prefix.toLowerCase() === 'sql'
		? {tool: TOOLS.sql, input: {sql: code.trim()}}
		: {tool: TOOLS.python, input: {python_code: code.trim()}};
}

/** The question joins its thread once, also when the run is taken up again. */
async function hear({run, threadId, dataset, question}: Turn): Promise<void> {
	if (threadId === null || run.journal.events.some((event) => event.type === 'message.added')) return;
	const data = {role: 'user' as const, content: question, threadId, datasetId: dataset?.id ?? ''};
	await run.journal.append({type: 'message.added', actor: startOf(run.journal.events).principal, data});
}

function startOf(events: readonly Event[]): EventData<'run.started'> {
	const [first] = events;
	if (first?.type !== 'run.started') throw new WritError('evidence_tampered', 'the run does not begin with `run.started`');
	return first.data;
}
