/** The reference workflows, as a client of the API lives them: what is asked, what is answered, and what that promises. */
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import type {ChatResponse, WorkReply} from '#contract/api.ts';
import type {Approval, ApprovalsReply} from '#contract/approval-api.ts';
import type {ModeReply} from '#contract/mode.ts';
import type {PolicyReload} from '#contract/policy-api.ts';
import {rotate} from '../../src/local-evidence.ts';
import type {Started} from '../../src/serve.ts';

/** What a client was told, and what has to be so whatever happens afterwards. */
export type Accepted =
	| {readonly kind: 'run'; readonly runId: string; readonly status: string}
	| {readonly kind: 'answer'; readonly runId: string; readonly approvalId: string; readonly event: string}
	| {readonly kind: 'policy'; readonly version: string}
	| {readonly kind: 'mode'; readonly number: number; readonly mode: string}
	| {readonly kind: 'dataset'; readonly id: string}
	| {readonly kind: 'key'; readonly keyId: string};

export type Stage = {
	readonly started: Started;
	readonly dataDir: string;
	/** from here on durable writes count */
	arm(): void;
	/** Writes down what was promised, where a crash does not reach it. */
	accept(promise: Accepted): void;
	/** Lets time pass. */
	advance(ms: number): void;
	/** Takes over what was abandoned, tells further people and brings the log up to date, as a server does all the time. */
	tend(): Promise<void>;
	/** Polls until there is something. */
	until<T>(look: () => Promise<T | undefined>): Promise<T>;
};

export type Scenario = {
	readonly name: string;
	/** Cedar rules beside the built-in ones */
	readonly rules?: string;
	/** a `policy.yaml`, when rules are not all */
	readonly policy?: string;
	readonly env?: Readonly<Record<string, string>>;
	/** directories whose files are what is written durably, instead of the store */
	readonly files?: string;
	/** how far time passes while it is lived */
	readonly lateMs?: number;
	/** fewer writes than this, and the scenario has not been what it says */
	readonly writes: number;
	live(stage: Stage): Promise<void>;
};

export const POLICY_FILE = 'policy.yaml';
export const RULES_FILE = 'rules.cedar';

const ask = (tool: string, more = '') => `
@id("asks-${tool.replace('.', '-')}")
@description("people look before it runs")
@decision("ask")
${more}
permit (principal, action == Action::"${tool}", resource);
`;
const TOKENS = ['ada', 'bob', 'cy', 'dee'].map((who) => `${tokenOf(who)}=${who}@local`).join(',');
const CODE = {language: 'javascript', code: 'export default 6 * 7'};

export const SCENARIOS: readonly Scenario[] = [
	{name: 'a question to the planner', writes: 4, live: (stage) => chat(stage, 'SLA compliance by priority')},
	{name: 'SQL in a chat', writes: 5, live: (stage) => chat(stage, 'SQL: SELECT count(*) AS n FROM tickets')},
	{name: 'a run of SQL', writes: 4, live: (stage) => run(stage, {query_type: 'sql', sql: 'SELECT 1 AS one'})},
	{name: 'a run of Python', writes: 4, live: (stage) => run(stage, {query_type: 'python', python_code: 'result = 1 + 1'})},
	{
		name: 'an approval that is granted',
		rules: ask('code.javascript'),
		writes: 6,
		async live(stage) {
			const {runId, approval} = await waiting(stage);
			await answer(stage, approval, 'grant');
			await ended(stage, runId);
		},
	},
	{
		name: 'an approval that is rejected',
		rules: ask('code.javascript'),
		writes: 4,
		async live(stage) {
			const {runId, approval} = await waiting(stage);
			await answer(stage, approval, 'reject');
			await ended(stage, runId);
		},
	},
	{
		name: 'an approval that nobody answers',
		lateMs: 60_000,
		rules: ask('code.javascript'),
		policy: `version: 1\napprovals: {approveWithinSeconds: 30}\ncedar: {files: [${RULES_FILE}]}\n`,
		writes: 4,
		async live(stage) {
			const {runId} = await waiting(stage);
			stage.advance(60_000);
			await stage.tend();
			await ended(stage, runId);
		},
	},
	{
		name: 'a grant that is taken back, and two others',
		rules: ask('code.javascript', '@quorum("2")'),
		env: {WRIT_AUTH_TOKENS: TOKENS},
		writes: 9,
		async live(stage) {
			const {runId, approval} = await waiting(stage, 'ada');
			await answer(stage, approval, 'comment', {by: 'bob', comment: 'who wrote this?'});
			await answer(stage, approval, 'grant', {by: 'bob'});
			await answer(stage, approval, 'revoke', {by: 'bob'});
			await answer(stage, approval, 'grant', {by: 'cy'});
			await answer(stage, approval, 'grant', {by: 'dee'});
			await ended(stage, runId, 'ada');
		},
	},
	{
		name: 'an approval that is handed on and escalated',
		lateMs: 600_000,
		rules: ask('code.javascript'),
		env: {WRIT_AUTH_TOKENS: TOKENS, WRIT_APPROVERS: 'bob', WRIT_ESCALATE_TO: 'dee', WRIT_ESCALATE_AFTER: '0.1'},
		writes: 8,
		async live(stage) {
			const {runId, approval} = await waiting(stage, 'ada');
			await answer(stage, approval, 'delegate', {by: 'bob', to: 'cy'});
			stage.advance(600_000);
			await stage.tend();
			await answer(stage, approval, 'grant', {by: 'cy'});
			await ended(stage, runId, 'ada');
		},
	},
	{
		name: 'code in a sandbox that waits for an approval',
		rules: ask('analyst.sql'),
		writes: 6,
		async live(stage) {
			const sql = JSON.stringify({dataset_id: 'support', sql: 'SELECT 1 AS one'});
			const code = `export default await writ.call('analyst.sql', ${sql})`;
			stage.arm();
			const running = post<WorkReply>(stage, '/api/v1/code', {language: 'javascript', code});
			const approval = await stage.until(async () => {
				const {approvals} = await get<ApprovalsReply>(stage, '/api/v1/approvals?state=pending');
				return approvals[0];
			});
			await answer(stage, approval, 'grant');
			const {runId, status} = await running;
			stage.accept({kind: 'run', runId, status});
		},
	},
	{
		name: 'a dataset that is added',
		env: {DATASETS_DIR: ''},
		writes: 3,
		live: addTowns,
	},
	{
		name: 'an export',
		writes: 3,
		async live(stage) {
			const sql = {dataset_id: 'support', query_type: 'sql', sql: 'SELECT 1 AS one'};
			const {run_id} = await post<ChatResponse>(stage, '/runs', sql);
			stage.arm();
			const reply = await stage.started.server.fetch(toRequest(`/runs/${run_id}/export?format=csv`, {}));
			if (!reply.ok || (await reply.text()) === '') throw new Error(`the export answered ${reply.status}`);
		},
	},
	{
		name: 'another policy',
		rules: ask('code.shell'),
		writes: 2,
		async live(stage) {
			stage.arm();
			writeFileSync(path.join(stage.dataDir, RULES_FILE), ask('code.javascript'));
			const {version, kind} = await post<PolicyReload>(stage, '/api/v1/policy/reload');
			if (kind !== 'changed') throw new Error(`the policy is ${kind}`);
			stage.accept({kind: 'policy', version});
		},
	},
	{
		name: 'everything stopped, and resumed',
		rules: ask('code.javascript'),
		writes: 7,
		async live(stage) {
			const {runId} = await waiting(stage);
			for (const mode of ['observe', 'execute'] as const) {
				const reply = await post<ModeReply>(stage, '/api/v1/kill-switch', {mode, reason: 'a drill'});
				stage.accept({kind: 'mode', number: reply.number, mode: reply.mode});
			}
			await ended(stage, runId);
		},
	},
	{
		name: 'another key',
		files: 'keys',
		writes: 5,
		async live(stage) {
			await run(stage, {query_type: 'sql', sql: 'SELECT 1 AS one'});
			stage.arm();
			for (const revoke of [null, 'somebody may have copied it']) {
				const {keyId} = await rotate(stage.started.config, revoke);
				stage.accept({kind: 'key', keyId});
			}
			await run(stage, {query_type: 'sql', sql: 'SELECT 2 AS two'});
		},
	},
	{
		name: 'a place in the log',
		files: 'log',
		writes: 8,
		async live(stage) {
			await run(stage, {query_type: 'sql', sql: 'SELECT 1 AS one'});
			await stage.started.platform.serverLog.sync();
		},
	},
	{
		name: 'the files of a dataset',
		files: 'datasets',
		env: {DATASETS_DIR: ''},
		writes: 3,
		live: addTowns,
	},
];

async function addTowns(stage: Stage): Promise<void> {
	const form = new FormData();
	form.set('id', 'towns');
	form.set('files', new File(['town,people\nulm,126949\nbonn,335975\n'], 'towns.csv'));
	stage.arm();
	await send(stage, '/datasets', {method: 'POST', body: form});
	stage.accept({kind: 'dataset', id: 'towns'});
}

async function chat(stage: Stage, message: string): Promise<void> {
	stage.arm();
	const body = {dataset_id: 'support', thread_id: 'a-thread', message};
	const {run_id, status} = await post<ChatResponse>(stage, '/chat', body);
	stage.accept({kind: 'run', runId: run_id, status});
}

async function run(stage: Stage, body: object): Promise<void> {
	stage.arm();
	const {run_id, status, details} = await post<ChatResponse>(stage, '/runs', {dataset_id: 'support', ...body});
	if (status !== 'succeeded') throw new Error(`the run has ${status}: ${JSON.stringify(details)}`);
	stage.accept({kind: 'run', runId: run_id, status});
}

/** A program that waits for people. */
async function waiting(stage: Stage, as?: string): Promise<{readonly runId: string; readonly approval: Approval}> {
	stage.arm();
	const {runId, status} = await post<WorkReply>(stage, '/api/v1/code', CODE, as);
	stage.accept({kind: 'run', runId, status});
	const {approvals} = await get<ApprovalsReply>(stage, '/api/v1/approvals', as);
	const approval = approvals.find((each) => each.runId === runId);
	if (!approval) throw new Error(`the program is ${status} and waits for nobody`);
	return {runId, approval};
}

type Answer = {readonly by?: string; readonly comment?: string; readonly to?: string};
const EVENTS = {grant: 'granted', reject: 'rejected', revoke: 'revoked', comment: 'commented', delegate: 'delegated'} as const;

async function answer(stage: Stage, approval: Approval, verb: keyof typeof EVENTS, {by, ...more}: Answer = {}): Promise<void> {
	const {approvalId, runId, previewDigest} = approval;
	const body = {comment: 'seen', ...(verb === 'grant' ? {previewDigest} : {}), ...more};
	await post(stage, `/api/v1/approvals/${approvalId}/${verb}`, body, by);
	stage.accept({kind: 'answer', runId, approvalId, event: `approval.${EVENTS[verb]}`});
}

async function ended(stage: Stage, runId: string, as?: string): Promise<void> {
	const {status} = await stage.until(async () => {
		const reply = await get<{status: string; finished_at?: string | null}>(stage, `/runs/${runId}/status`, as);
		return ['running', 'awaiting_approval'].includes(reply.status) ? undefined : reply;
	});
	stage.accept({kind: 'run', runId, status});
}

function tokenOf(who: string): string {
	return `token-of-${who}-0000000000`;
}

function get<Body>(stage: Stage, route: string, as?: string): Promise<Body> {
	return send(stage, route, {}, as);
}

function post<Body = unknown>(stage: Stage, route: string, body: object = {}, as?: string): Promise<Body> {
	return send(stage, route, {method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(body)}, as);
}

async function send<Body>({started}: Stage, route: string, init: RequestInit, as?: string): Promise<Body> {
	const reply = await started.server.fetch(toRequest(route, init, as));
	const text = await reply.text();
	if (!reply.ok) throw new Error(`${route} answered ${reply.status}: ${text}`);
	return JSON.parse(text) as Body;
}

function toRequest(route: string, init: RequestInit, as?: string): Request {
	const request = new Request(new URL(route, 'http://127.0.0.1'), init);
	if (as !== undefined) request.headers.set('authorization', `Bearer ${tokenOf(as)}`);
	return request;
}
