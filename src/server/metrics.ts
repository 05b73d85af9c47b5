import {Counter, collectDefaultMetrics, Gauge, Histogram, Registry} from 'prom-client';
import type {Decision, Event} from '#contract/event.ts';
import type {PoolStats} from './deps.ts';

export type Metrics = {
	readonly contentType: string;
	text(): Promise<string>;
	request(request: {readonly method: string; readonly endpoint: string; readonly status: number; readonly seconds: number}): void;
	turn(turn: {readonly endpoint: string; readonly inputMode: string; readonly status: string}): void;
	/** A projection of the event stream: runs, actions, decisions and model use are counted here and nowhere else. */
	observe(event: Event): void;
};

export type MetricsSources = {
	readonly pools: () => PoolStats;
	readonly inFlight: () => number;
	readonly tools: readonly string[];
};

/** Runs whose mode is remembered between their first and last event; beyond it a mode counts as `other`. */
const MAX_OPEN_RUNS = 10_000;
const MODES = new Set(['sql', 'python', 'plan', 'chat', 'export', 'ingest']);
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']);
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Label values come from closed sets: routes, registered tools, states. Nothing a client sends becomes a label. */
export function createMetrics(sources: MetricsSources): Metrics {
	const registry = new Registry();
	collectDefaultMetrics({register: registry});
	const http = httpMetrics(registry);
	const observers = [runMetrics(registry, new Set(sources.tools)), modelAndApprovalMetrics(registry)];
	gauges(registry, sources);
	return {
		contentType: registry.contentType,
		text: () => registry.metrics(),
		request({method, endpoint, status, seconds}) {
			const known = METHODS.has(method) ? method : 'other';
			http.requests.inc({method: known, endpoint, status: String(status)});
			http.duration.observe({method: known, endpoint}, seconds);
		},
		turn: ({endpoint, inputMode, status}) => http.turns.inc({endpoint, input_mode: inputMode, status}),
		observe(event) {
			for (const observe of observers) observe(event);
		},
	};
}

function httpMetrics(registry: Registry) {
	const registers = [registry];
	return {
		requests: new Counter({
			name: 'csv_analyst_http_requests_total',
			help: 'HTTP requests, by route',
			labelNames: ['method', 'endpoint', 'status'],
			registers,
		}),
		duration: new Histogram({
			name: 'csv_analyst_http_request_duration_seconds',
			help: 'time until the response started',
			labelNames: ['method', 'endpoint'],
			buckets: SECONDS,
			registers,
		}),
		turns: new Counter({
			name: 'csv_analyst_agent_turns_total',
			help: 'chat turns',
			labelNames: ['endpoint', 'input_mode', 'status'],
			registers,
		}),
	};
}

function runMetrics(registry: Registry, tools: ReadonlySet<string>): (event: Event) => void {
	const counter = (name: string, help: string, labelNames: string[]) =>
		new Counter({name, help, labelNames, registers: [registry]});
	const sandboxRuns = counter('csv_analyst_sandbox_runs_total', 'runs that used a sandbox', ['provider', 'query_mode', 'status']);
	const runs = counter('writ_runs_total', 'finished runs', ['job', 'mode', 'status']);
	const actions = counter('writ_actions_total', 'actions with an outcome', ['tool', 'status']);
	const decisions = counter('writ_decisions_total', 'decisions about proposals', ['effect', 'gate']);
	const seconds = new Histogram({
		name: 'writ_action_duration_seconds',
		help: 'time from intent to outcome',
		labelNames: ['tool'],
		buckets: SECONDS,
		registers: [registry],
	});
	const open = new Map<string, {job: string; mode: string; tools: Map<string, string>}>();
	const known = (tool: string) => (tools.has(tool) ? tool : 'other');

	return (event) => {
		const run = open.get(event.runId);
		switch (event.type) {
			case 'run.started': {
				if (open.size >= MAX_OPEN_RUNS) return;
				const mode = MODES.has(event.data.mode) ? event.data.mode : 'other';
				open.set(event.runId, {job: event.data.job, mode, tools: new Map()});
				return;
			}
			case 'action.proposed':
				run?.tools.set(event.data.actionId, known(event.data.tool));
				return;
			case 'action.decided': {
				decisions.inc(whoDecided(event.data.decision));
				return;
			}
			case 'action.outcome': {
				const {status, isolation, durationMs, actionId} = event.data;
				const tool = run?.tools.get(actionId) ?? 'other';
				actions.inc({tool, status});
				seconds.observe({tool}, durationMs / 1_000);
				if (isolation) sandboxRuns.inc({provider: isolation.provider, query_mode: run?.mode ?? 'other', status});
				return;
			}
			case 'run.finished':
				runs.inc({job: run?.job ?? 'other', mode: run?.mode ?? 'other', status: event.data.status});
				open.delete(event.runId);
		}
	};
}

function whoDecided({effect, gates}: Decision) {
	return {effect, gate: gates.find((gate) => gate.effect === effect)?.gate ?? 'none'};
}

function modelAndApprovalMetrics(registry: Registry): (event: Event) => void {
	const counter = (name: string, help: string, labelNames: string[]) =>
		new Counter({name, help, labelNames, registers: [registry]});
	const tokens = counter('writ_model_tokens_total', 'tokens read and written by models', ['provider', 'direction']);
	const failures = counter('writ_model_failures_total', 'failed model calls', ['provider']);
	const cost = counter('writ_model_cost_usd_total', 'money spent on models', ['provider']);
	const approvals = counter('writ_approvals_total', 'approvals asked for and answered', ['state']);
	return ({type, data}) => {
		if (type.startsWith('approval.')) approvals.inc({state: type.slice('approval.'.length)});
		if (type === 'model.failed') failures.inc({provider: data.provider});
		if (type !== 'model.responded') return;
		tokens.inc({provider: data.provider, direction: 'input'}, data.inputTokens);
		tokens.inc({provider: data.provider, direction: 'output'}, data.outputTokens);
		cost.inc({provider: data.provider}, data.costUsd);
	};
}

function gauges(registry: Registry, {pools, inFlight}: MetricsSources): void {
	new Gauge({
		name: 'writ_runs_in_flight',
		help: 'runs in progress in this process',
		registers: [registry],
		collect() {
			this.set(inFlight());
		},
	});
	new Gauge({
		name: 'writ_sandboxes',
		help: 'sandboxes, by runner and state',
		labelNames: ['runner', 'state'],
		registers: [registry],
		collect() {
			this.reset();
			for (const [runner, {idle, busy}] of Object.entries(pools())) {
				this.set({runner, state: 'idle'}, idle);
				this.set({runner, state: 'busy'}, busy);
			}
		},
	});
}
