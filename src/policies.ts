/** The policy of a platform: where it comes from, what of the past it may look at, and how a change of it is put on record. */
import {createHash} from 'node:crypto';
import path from 'node:path';
import {setImmediate as others} from 'node:timers/promises';
import {z} from 'zod';
import type {Runs} from '#agents/runs.ts';
import {type ApprovalOptions, createApprovals} from '#approvals/approvals.ts';
import type {Config} from '#config/config.ts';
import {WritError} from '#contract/errors.ts';
import type {EventData, Principal} from '#contract/event.ts';
import type {PolicyDocument} from '#contract/policy.ts';
import type {
	BacktestReply,
	ExplainRequest,
	Explanation,
	PolicyCheck,
	PolicyCheckReply,
	PolicyReload,
	PolicyText,
} from '#contract/policy-api.ts';
import {digest} from '#evidence/canonical.ts';
import {decide} from '#kernel/decide.ts';
import {factsOf} from '#kernel/facts.ts';
import type {Kernel, RunRow, Step, Store} from '#kernel/ports.ts';
import {stepsOf} from '#kernel/steps.ts';
import {createBacktest} from '#policy/backtest.ts';
import {type CaseReport, runCases, toPrincipal} from '#policy/cases.ts';
import {comparePolicies} from '#policy/compare.ts';
import {createLivePolicy, type LivePolicy} from '#policy/live.ts';
import {createPolicyCache} from '#policy/policy-cache.ts';
import {type PolicyParts, type ReadPolicy, readPolicy} from '#policy/policy-file.ts';
import {showProblem} from '#policy/policy-text.ts';
import {decideAgain, type Past, replayRun, toAction} from '#policy/replay.ts';
import {isSingleUser} from './single-user.ts';

/** Throws `invalid_config` with the place of every mistake when the policy file is broken. */
export function openPolicy(config: Config, dataDir: string): LivePolicy {
	const parts = policyParts(config, dataDir);
	const file = config.governance.policyFile;
	return createLivePolicy(() => readPolicy(file === null ? null : path.resolve(file), parts));
}

function policyParts(config: Config, dataDir: string): PolicyParts {
	return {disabledTools: disabledTools(config), digest, cache: createPolicyCache(path.join(dataDir, 'cache'))};
}

/** Tools that settings have switched off, each with what switches it on. */
export function disabledTools({limits}: Config): ReadonlyMap<string, string> {
	const python = ['analyst.python', 'code.python'].map((tool) => [tool, 'set ENABLE_PYTHON_EXECUTION=true'] as const);
	return new Map(limits.enablePython ? [] : python);
}

/** Reads its clocks from the policy in force when it is asked, so that a reload counts at once. */
export function approvalsOf(
	policy: LivePolicy,
	config: Config,
	newId: ApprovalOptions['newId'],
): ReturnType<typeof createApprovals> {
	const {governance} = config;
	const now = () => {
		const {document} = policy.current();
		const {approveWithinSeconds, executeWithinSeconds} = document.approvals;
		const {approvers, escalateTo, escalateAfter, fatigue} = answeringOf(document, governance);
		return createApprovals({
			approveWithinMs: approveWithinSeconds * 1_000,
			executeWithinMs: executeWithinSeconds * 1_000,
			allowSelfApproval: isSingleUser(config),
			approvers,
			escalateTo,
			...(escalateTo.length > 0 && {escalateAfter}),
			fatigue,
			newId,
		});
	};
	return new Proxy(now(), {get: (_stale, name) => Reflect.get(now(), name)});
}

/** Who answers, and how many answers are too many: what the policy says, and what it leaves out as the settings say. */
export function answeringOf(
	{approvals}: PolicyDocument,
	{grantsInWindow, grantWindowSeconds, ...settings}: Config['governance'],
) {
	return {
		approvers: approvals.approvers ?? settings.approvers,
		escalateTo: approvals.escalateTo ?? settings.escalateTo,
		escalateAfter: approvals.escalateAfter ?? settings.escalateAfter,
		fatigue: approvals.fatigue ?? {grants: grantsInWindow, windowSeconds: grantWindowSeconds},
	};
}

/** Finished runs are read once. */
const MAX_RUNS_KNOWN = 1_000;

/**
 * What other runs of a run's thread did; for an export those of the thread of the run that it takes the result of, and that run's steps as
 * if they were its own. A finished run never changes, so what it did is kept.
 */
export function createThreadHistory(
	store: Pick<Store, 'run' | 'runs' | 'read'>,
	tools: Kernel['tools'],
): NonNullable<Kernel['thread']> {
	const known = new Map<string, readonly Step[]>();
	const stepsIn = async ({runId, finishedAt}: RunRow) => {
		const kept = known.get(runId);
		if (kept) return kept;
		const steps = stepsOf({runId, events: await store.read(runId)}, tools);
		if (known.size >= MAX_RUNS_KNOWN) known.clear();
		if (finishedAt !== null) known.set(runId, steps);
		return steps;
	};
	return async ({runId, events}) => {
		const [first] = events;
		if (first?.type !== 'run.started') return [];
		const {exportOf} = first.data;
		const rows = (await pastRuns(first.data, store)).filter((row) => row.runId !== runId);
		const own = (step: Step) => (step.runId === exportOf ? {...step, runId} : step);
		const steps = (await Promise.all(rows.map(stepsIn))).flat().map(own);
		return steps.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
	};
}

/** Of the thread of a run, or of the run that it exports; that one alone where it has no thread. */
async function pastRuns(
	{principal: {tenant}, threadId: own, exportOf}: EventData<'run.started'>,
	store: Pick<Store, 'run' | 'runs'>,
): Promise<readonly RunRow[]> {
	const source = exportOf === undefined ? null : await sourceOf(exportOf, tenant, store);
	const threadId = source ? source.threadId : own;
	if (threadId === null) return source ? [source] : [];
	const rows: RunRow[] = [];
	for await (const row of allRuns(store, {tenant, threadId})) rows.push(row);
	return rows;
}

/** Throws `not_found`: without what led to a result nobody can judge whether it may leave. */
async function sourceOf(runId: string, tenant: string, store: Pick<Store, 'run'>): Promise<RunRow> {
	const row = await store.run(runId);
	if (row?.tenant === tenant) return row;
	throw new WritError('not_found', `there is no run \`${runId}\` any more, whose result was to be exported`);
}

type Which = {readonly tenant: string; readonly threadId?: string; readonly since?: string};

async function* allRuns(store: Pick<Store, 'runs'>, which: Which): AsyncIterable<RunRow> {
	let cursor: string | null = null;
	do {
		const page: Awaited<ReturnType<Store['runs']>> = await store.runs({
			...which,
			limit: 200,
			...(cursor === null ? {} : {cursor}),
		});
		yield* page.rows;
		cursor = page.next;
	} while (cursor !== null);
}

export type PolicyRoom = {
	/** Reads the policy file again; a change or a refusal joins the record as a run of its own. */
	reload(by: Principal): Promise<PolicyReload>;
	/** Records what watching the file came to. Returns how to stop. */
	watch(): () => void;
	/** Throws `not_found`. */
	explain(request: ExplainRequest, caller: Principal): Promise<Explanation>;
	/** Whether a policy could come into force, what it would change, and which of the test cases pass under it. */
	check(check: PolicyCheck): Promise<PolicyCheckReply>;
	/** Takes every decision of the tenant's runs since then again. Throws `validation_error` for a policy that is not sound. */
	backtest(policy: PolicyText, since: string, tenant: string): Promise<BacktestReply>;
};

type Room = {
	readonly live: LivePolicy;
	readonly kernel: Kernel;
	readonly store: Pick<Store, 'run' | 'runs' | 'read' | 'retention'>;
	readonly runs: Runs;
	readonly config: Config;
	readonly dataDir: string;
	readonly software: string;
};

/** Who reloads a file that changed. */
const WATCHER: Principal = {kind: 'service', id: 'policy-file', tenant: 'local'};

export function createPolicyRoom(room: Room): PolicyRoom {
	const {live, kernel} = room;
	const past = (runId: string) => pastOf(runId, room);
	return {
		async reload(by) {
			const reload = live.reload();
			await record(reload, by, room);
			return toReply(reload);
		},
		watch() {
			void holdListed(room).catch(kernel.report);
			return live.watch((reload) => void record(reload, WATCHER, room).catch(kernel.report));
		},
		async explain(request, caller) {
			if ('tool' in request) return explainWish(request, caller, kernel);
			const row = await room.store.run(request.runId);
			if (row?.tenant !== caller.tenant) throw new WritError('not_found', `there is no run \`${request.runId}\``);
			const {actionId} = request;
			const found = (await past(request.runId)).findLast((one) => actionId === undefined || one.actionId === actionId);
			if (!found)
				throw new WritError(
					'not_found',
					actionId === undefined ? 'nothing was decided in this run' : `there is no decision on \`${actionId}\``,
				);
			const {runId, tool, principal, recorded, judged} = found;
			return {runId, actionId: found.actionId, tool, principal, recorded, now: judged && decideAgain(judged, live.current())};
		},
		async check({policy, cases}) {
			const tried = readSent(policy, room);
			const problems = tried.problems.map((problem) => ({...problem}));
			const found = tried.policy;
			if (!found) return {version: null, problems, comparison: null, results: []};
			await others();
			const comparison = comparePolicies(live.current(), found, kernel.tools);
			const reports: CaseReport[] = [];
			for (const {name, text} of cases) {
				await others();
				reports.push(runCases(text, name, found, kernel.tools));
			}
			return {
				version: found.version,
				problems: [...problems, ...reports.flatMap((report) => report.problems)],
				comparison,
				results: reports.flatMap(({results}) => results),
			};
		},
		async backtest(policy, since, tenant) {
			const tried = readSent(policy, room);
			if (!tried.policy) {
				const message = tried.problems.map(showProblem).join('\n');
				throw new WritError('validation_error', message, {details: {problems: tried.problems}});
			}
			const backtest = createBacktest(tried.policy);
			for await (const row of allRuns(room.store, {tenant, since}))
				backtest.add(await pastOf(row.runId, room, tried.policy.budget));
			return backtest.result();
		},
	};
}

function readSent({name, text, files}: PolicyText, {config, dataDir}: Room): ReadPolicy {
	const texts = new Map([[name, text], ...Object.entries(files)].map(([file = '', held]) => [path.resolve('/', file), held]));
	const read = (file: string) => {
		const held = texts.get(file);
		if (held === undefined) throw new Error('it was not sent');
		return held;
	};
	return readPolicy(path.resolve('/', name), {...policyParts(config, dataDir), cache: NO_CACHE}, read);
}

/** A policy that was only tried leaves nothing behind. */
const NO_CACHE = {read: () => null, write: () => {}};

async function pastOf(runId: string, {kernel, store}: Room, budget = kernel.budget): Promise<readonly Past[]> {
	const events = await store.read(runId);
	const [first] = events;
	if (!first) return [];
	const principal = first.type === 'run.started' ? first.data.principal : first.actor;
	const thread = (await kernel.thread?.({runId, principal, events})) ?? [];
	return replayRun(events, {tools: kernel.tools, budget, isolation: await kernel.sandboxes.level(), thread});
}

/** What would be decided on an action that nobody has proposed, in a run that has done nothing. */
async function explainWish(
	{tool, input, as}: Extract<ExplainRequest, {tool: string}>,
	caller: Principal,
	kernel: Kernel,
): Promise<Explanation> {
	if (!kernel.tools.has(tool))
		throw new WritError('not_found', `there is no tool \`${tool}\``, {hint: 'GET /api/v1/tools lists them'});
	const principal = as === undefined ? caller : toPrincipal(as, caller.tenant);
	const given = kernel.tools.get(tool)?.input.safeParse(input);
	const action = toAction({actionId: 'act_1', tool, input, inputDigest: digest(input ?? null)}, kernel.tools);
	if (!action) {
		const why = given?.error ? z.prettifyError(given.error) : 'the tool could not tell its risk or its target';
		throw new WritError('validation_error', why, {hint: 'GET /api/v1/tools shows what it takes'});
	}
	const facts = factsOf({runId: 'run_1', principal, events: []}, kernel, await kernel.sandboxes.level());
	return {runId: null, actionId: null, tool, principal, recorded: null, now: decide(action, facts, kernel.policy())};
}

/** Where it is judged: no server erases what this one's file holds from then on. */
async function holdListed({live, store}: Pick<Room, 'live' | 'store'>): Promise<void> {
	await store.retention.holdListed(live.current().document.retention.legalHold, 'replace');
}

/** A run of one event: signed, chained and listed like every other. */
async function record(reload: ReturnType<LivePolicy['reload']>, by: Principal, room: Room): Promise<void> {
	const {live, runs, software} = room;
	if (reload.kind === 'unchanged') return;
	if (reload.kind === 'changed') await holdListed(room);
	const {version, previous, problems} = reload;
	const started = {
		job: 'system',
		mode: 'policy',
		threadId: null,
		question: null,
		dataset: null,
		principal: by,
		software,
		policyVersion: version,
	} as const;
	const run = await runs.open(started, by, new AbortController().signal);
	const sources = live.sources().map(({name, text}) => ({name, sha256: createHash('sha256').update(text).digest('hex')}));
	const refused = {type: 'policy.refused', actor: by, data: {version, problems: problems.map(showProblem)}} as const;
	const changed = {type: 'policy.changed', actor: by, data: {version, previous, sources}} as const;
	const error = reload.kind === 'refused' ? new WritError('invalid_config', problems.map(showProblem).join('\n')).toJSON() : null;
	const status = reload.kind === 'refused' ? 'failed' : 'succeeded';
	await run.finish({status, resultActionId: null, error}, reload.kind === 'refused' ? refused : changed);
}

function toReply({kind, version, previous, problems}: ReturnType<LivePolicy['reload']>): PolicyReload {
	return {kind, version, previous, problems: problems.map((problem) => ({...problem}))};
}
