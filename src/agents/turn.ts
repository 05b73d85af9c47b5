/**
 * One turn of an agent: the model proposes, the governed path decides and acts, the model reads what became of it, until it answers.
 * All state is the journal's: a response is on record before anything acts on it, and every limit is counted there.
 */
import {type ErrorBody, WritError} from '#contract/errors.ts';
import type {TurnEvent} from '#contract/stream.ts';
import {runOf} from '#kernel/facts.ts';
import type {Outcome} from '#kernel/govern.ts';
import type {Journal, Kernel} from '#kernel/ports.ts';
import type {Model, ModelMessage, ModelReply, ModelRequest, ModelTool, ModelWatch, ToolCall, ToolResult} from '#models/model.ts';
import {createSpeech, type Speech} from './speech.ts';

/** A tool as a model sees it, and the governed tool behind it. */
export type AgentTool = ModelTool & {
	/** The proposal this call stands for, or why there is none. */
	readonly toProposal: (input: unknown) => {readonly tool: string; readonly input: unknown} | {readonly refusal: string};
	/** What the model is told of the outcome, as text, and what watchers are shown. */
	readonly toReply: (
		outcome: Outcome,
	) => {readonly text: string; readonly shown: unknown} | Promise<{readonly text: string; readonly shown: unknown}>;
};

export type TurnLimits = {
	/** actions proposed; what a model asks for beyond them ends the turn */
	readonly toolCalls: number;
	/** responses of the model */
	readonly responses: number;
	/** calls of tools that do not exist or whose arguments are not JSON, and empty responses */
	readonly mistakes: number;
	/** actions at work at once */
	readonly parallel: number;
};

export const TURN_LIMITS: Omit<TurnLimits, 'toolCalls'> = {responses: 25, mistakes: 4, parallel: 4};

export type Acted = {readonly call: ToolCall; readonly tool: string; readonly outcome: Outcome};

/** How a turn ended, with all it did in the order in which it was proposed. */
export type TurnEnd = {readonly acted: readonly Acted[]} & (
	| {readonly kind: 'answered'; readonly text: string}
	| {readonly kind: 'awaiting_approval'; readonly outcome: Outcome}
	/** a limit, a provider that failed, or a caller who left */
	| {readonly kind: 'stopped'; readonly error: ErrorBody}
);

export type TurnOptions = {
	readonly model: Model;
	readonly system: string;
	readonly messages: readonly ModelMessage[];
	readonly tools: readonly AgentTool[];
	readonly act: (tool: string, input: unknown) => Promise<Outcome>;
	readonly journal: Journal;
	readonly kernel: Kernel;
	readonly limits: TurnLimits;
	readonly emit: (event: TurnEvent) => void;
	readonly signal: AbortSignal;
};

export async function runTurn(options: TurnOptions): Promise<TurnEnd> {
	const acted: Acted[] = [];
	try {
		return {...(await converse(options, acted)), acted};
	} catch (error) {
		// Refusals of models and limits are how a turn can end; everything else is a store that cannot write, or a bug.
		if (error instanceof WritError && ENDINGS.has(error.code)) return {kind: 'stopped', error: error.toJSON(), acted};
		throw error;
	}
}

const ENDINGS: ReadonlySet<string> = new Set([
	'cancelled',
	'model_unavailable',
	'model_rejected',
	'budget_exceeded',
	'agent_recursion_limit',
]);

type Ending =
	| {readonly kind: 'answered'; readonly text: string}
	| {readonly kind: 'awaiting_approval'; readonly outcome: Outcome};

async function converse(options: TurnOptions, acted: Acted[]): Promise<Ending> {
	const messages = [...options.messages];
	const spent: Spent = {mistakes: 0, heard: null};
	const speech = createSpeech(options.kernel.redact, options.emit);
	for (let responses = 0; ; responses += 1) {
		assertRoom(responses, spent.mistakes, options);
		if (responses > 0) options.emit({event: 'status', data: {stage: 'planning'}});
		const reply = await respond(messages, {speech, spent}, options);
		if (reply.toolCalls.length === 0 && reply.text.trim() !== '') return {kind: 'answered', text: finished(reply)};
		if (reply.toolCalls.length === 0) {
			spent.mistakes += 1;
			messages.push({role: 'user', text: 'The response was empty. Answer the question, or call a tool.'});
			continue;
		}
		if (acted.length >= options.limits.toolCalls) throw outOfCalls(options.limits.toolCalls);
		const {results, mistakes, done} = await callAll(reply.toolCalls, acted.length, options);
		acted.push(...done);
		spent.mistakes += mistakes;
		const waiting = done.find(({outcome}) => outcome.kind === 'awaiting_approval');
		if (waiting) return {kind: 'awaiting_approval', outcome: waiting.outcome};
		assertWithinBudget(done);
		messages.push({role: 'assistant', text: reply.text, toolCalls: reply.toolCalls}, {role: 'tool', results});
	}
}

type Spent = {mistakes: number; heard: {readonly bytes: number; readonly tokens: number} | null};
type Hearing = {readonly speech: Speech; readonly spent: Spent};

/** Fewer are no answer. */
const SHORTEST_RESPONSE = 64;

/**
 * How many tokens the next response may have, so that the run stays within its budget whatever the model says. A token is at least one
 * byte of what is sent, and what was sent before has been counted by the provider.
 */
function reserve(request: ModelRequest, {heard}: Spent, options: TurnOptions): number {
	const {run, budget} = timeOf(options);
	const bytes = sizeOf(request);
	const input = heard === null ? bytes : heard.tokens + Math.max(0, bytes - heard.bytes);
	const left = budget.tokens - run.tokens - input;
	if (left >= SHORTEST_RESPONSE) return left;
	const used = `${run.tokens} of ${budget.tokens} tokens, and asking the model once more may take ${input + SHORTEST_RESPONSE}`;
	throw overBudget('tokens', used, 'tokens');
}

function sizeOf(request: ModelRequest): number {
	return Buffer.byteLength(JSON.stringify(request));
}

/** INVARIANT: what the model said is durable before anything is done about it. */
async function respond(messages: readonly ModelMessage[], {speech, spent}: Hearing, options: TurnOptions): Promise<ModelReply> {
	const {model, system, tools, journal, kernel} = options;
	const definitions = tools.map(({name, description, inputSchema}) => ({name, description, inputSchema}));
	const request = kernel.redact({system, messages, tools: definitions}).value as ModelRequest;
	const maxOutputTokens = reserve(request, spent, options);
	const reply = await hear(request, {speech, maxOutputTokens}, options);
	spent.heard = {bytes: sizeOf(request), tokens: reply.inputTokens};
	const {text, toolCalls, inputTokens, outputTokens, costUsd, priceKnown, durationMs} = reply;
	await journal.append({
		type: 'model.responded',
		actor: journal.principal,
		data: {
			...{provider: model.provider, model: model.id, requestDigest: kernel.digest(request)},
			...{text, inputTokens, outputTokens, costUsd, priceKnown, durationMs},
			toolCalls: toolCalls.map(({id, name, input, malformed}) => ({
				id,
				tool: name,
				input: malformed === null ? input : {malformed},
			})),
		},
	});
	return reply;
}

/** Listens to one response, no longer than the run may still take; watchers hear it word by word, the journal of every failed attempt. */
async function hear(
	request: ModelRequest,
	{speech, maxOutputTokens}: {readonly speech: Speech; readonly maxOutputTokens: number},
	options: TurnOptions,
): Promise<ModelReply> {
	const {model, journal, kernel, emit, signal} = options;
	const {budget, elapsedMs} = timeOf(options);
	const over = AbortSignal.timeout(Math.max(1, Math.min(budget.wallMs - elapsedMs, LONGEST_TIMER_MS)));
	const watch: ModelWatch = {
		maxOutputTokens,
		signal: AbortSignal.any([signal, over]),
		onText: speech.add,
		async onFailure(error, attempt, retryInMs) {
			speech.restart();
			const data = {provider: model.provider, model: model.id, error: error.toJSON(), attempt};
			await journal.append({type: 'model.failed', actor: journal.principal, data});
			const note = kernel.redact(retryNote(error.message, retryInMs ?? 0)).value as string;
			if (retryInMs !== null) emit({event: 'status', data: {stage: 'planning', note}});
		},
	};
	try {
		const reply = await model.respond(request, watch);
		speech.end();
		return reply;
	} catch (error) {
		if (over.aborted && !signal.aborted) throw overTime(budget.wallMs, budget.wallMs);
		throw error;
	}
}

/** Timers hold 31 bits. */
const LONGEST_TIMER_MS = 2_147_483_647;

function retryNote(message: string, retryInMs: number): string {
	return `${message}; trying again in ${Math.max(1, Math.round(retryInMs / 1_000))} s`;
}

type Called = {readonly results: readonly ToolResult[]; readonly mistakes: number; readonly done: readonly Acted[]};

/** Runs the calls of one response side by side, as many at once as allowed; results stay in the order of the calls. */
async function callAll(calls: readonly ToolCall[], before: number, options: TurnOptions): Promise<Called> {
	const {limits} = options;
	const answers: {result: ToolResult; acted: Acted | null; mistake: boolean}[] = [];
	const queue = calls.map((call, index) => ({call, index}));
	const state = {allowed: limits.toolCalls - before};
	const worker = async () => {
		for (let next = queue.shift(); next; next = queue.shift()) {
			answers[next.index] = await callOne(next.call, state, options);
		}
	};
	await Promise.all(Array.from({length: Math.min(limits.parallel, calls.length)}, worker));
	return {
		results: answers.map(({result}) => result),
		mistakes: answers.filter(({mistake}) => mistake).length,
		done: answers.flatMap(({acted}) => acted ?? []),
	};
}

async function callOne(call: ToolCall, state: {allowed: number}, {tools, act, emit, kernel, signal}: TurnOptions) {
	const {id, name} = call;
	emit({event: 'tool_call', data: {id, name, input: kernel.redact(call.input).value}});
	const proposal = toProposal(call, tools);
	const refusal = 'refusal' in proposal ? proposal.refusal : state.allowed <= 0 ? USED_UP : null;
	if ('refusal' in proposal || refusal !== null) {
		const output = {status: 'refused', error: refusal};
		emit({event: 'tool_result', data: {id, name, status: 'refused', output}});
		return {result: {id, name, output: JSON.stringify(output), failed: true}, acted: null, mistake: true};
	}
	state.allowed -= 1;
	if (signal.aborted) throw new WritError('cancelled', 'cancelled before the tool ran');
	const outcome = await act(proposal.tool, proposal.input);
	const {text, shown} = await proposal.toReply(outcome);
	emit({event: 'tool_result', data: {id, name, status: outcome.kind, output: shown}});
	const failed = outcome.kind !== 'succeeded';
	return {result: {id, name, output: text, failed}, acted: {call, tool: proposal.tool, outcome}, mistake: false};
}

const USED_UP = 'not done: the tool calls of this turn are used up. Answer with what there is.';

type Wanted = {readonly refusal: string} | ({readonly tool: string; readonly input: unknown} & Pick<AgentTool, 'toReply'>);

/** What a call stands for. A model can only name tools it was given. */
function toProposal({name, input, malformed}: ToolCall, tools: readonly AgentTool[]): Wanted {
	if (malformed !== null) return {refusal: `the arguments were not readable: ${malformed}. Send them as one JSON object.`};
	const tool = tools.find((presented) => presented.name === name);
	if (!tool) return {refusal: `there is no tool ${JSON.stringify(name)}; tools: ${tools.map((one) => one.name).join(', ')}`};
	const proposal = tool.toProposal(input);
	return 'refusal' in proposal ? proposal : {...proposal, toReply: tool.toReply};
}

function finished({text, finishReason}: ModelReply): string {
	return finishReason === 'length' ? `${text.trim()}\n\n(The answer was cut off at the model's length limit.)` : text.trim();
}

function assertRoom(responses: number, mistakes: number, options: TurnOptions): void {
	const {limits} = options;
	if (responses >= limits.responses || mistakes > limits.mistakes) {
		const what = mistakes > limits.mistakes ? `${mistakes} unusable tool calls` : `${responses} responses`;
		throw new WritError('agent_recursion_limit', `the model reached its reasoning limit after ${what} without an answer`, {
			hint: 'ask a narrower question, or one question at a time',
			details: {limit: mistakes > limits.mistakes ? 'mistakes' : 'responses', value: responses},
		});
	}
	const {run, budget, elapsedMs} = timeOf(options);
	if (run.tokens >= budget.tokens) throw overBudget('tokens', `${run.tokens} of ${budget.tokens} tokens`, 'tokens');
	if (run.costUsd >= budget.costUsd)
		throw overBudget('costUsd', `${run.costUsd.toFixed(4)} of ${budget.costUsd} US dollars`, 'money');
	if (run.calls >= (budget.calls ?? Infinity))
		throw overBudget('calls', `${run.calls} of ${budget.calls} calls of the model`, 'calls');
	if (run.retries >= (budget.retries ?? Infinity))
		throw overBudget('retries', `${run.retries} of ${budget.retries} failed calls of the model`, 'retries');
	if (elapsedMs >= budget.wallMs) throw overTime(elapsedMs, budget.wallMs);
}

function timeOf({journal, kernel}: TurnOptions) {
	const run = runOf(journal, kernel);
	return {run, budget: run.budget, elapsedMs: kernel.clock.now().getTime() - run.startedAt.getTime() - run.waitedMs};
}

/** A budget that ran out during an action ends the turn: the model could only ask for more of what is denied. */
function assertWithinBudget(done: readonly Acted[]): void {
	for (const {outcome} of done) {
		if (outcome.kind !== 'denied') continue;
		const gate = outcome.decision.gates.find((result) => result.gate === 'budget' && result.effect === 'deny');
		if (gate)
			throw new WritError('budget_exceeded', `the model reached its reasoning limit: ${gate.reason}`, {
				details: {rules: gate.rules},
			});
	}
}

function overBudget(limit: string, used: string, key: string): WritError {
	return new WritError('budget_exceeded', `the model reached its reasoning limit: this run has used ${used}`, {
		hint: `ask a narrower question, or raise \`budgets.run.${key}\` in policy.yaml`,
		details: {limit},
	});
}

function overTime(elapsedMs: number, wallMs: number): WritError {
	return overBudget('wallMs', `${Math.round(elapsedMs / 1_000)} of ${wallMs / 1_000} s`, 'seconds');
}

function outOfCalls(limit: number): WritError {
	return new WritError(
		'agent_recursion_limit',
		`the model reached its reasoning limit of ${limit} tool calls without an answer`,
		{
			hint: 'ask a narrower question, or raise `budgets.run.actions` in policy.yaml',
			details: {limit: 'toolCalls', value: limit},
		},
	);
}
