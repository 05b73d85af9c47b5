/** Modes of a tenant, an agent and a tool: each stops what it names, the strictest counts, and a policy file sets a floor. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import type {WorkReply} from '#contract/api.ts';
import type {AuditReply} from '#contract/audit.ts';
import type {Event} from '#contract/event.ts';
import type {ModeReply, ModeRequest} from '#contract/mode.ts';
import {createModeGate, modeFor} from '#policy/mode.ts';
import {type Env, freshData, jsonPost, runWrit, type Scope, startWrit, type Writ} from './server.ts';

const PEOPLE = {ann: 'acme', ben: 'acme', eve: 'other'} as const;
/** Second accounts of people who have one. */
const ACCOUNTS = ['ann2-token-0123456789=ann2:ann@acme', 'eve2-token-0123456789=eve2:eve@other'];
const TOKENS = [...Object.entries(PEOPLE).map(([id, tenant]) => `${id}-token-0123456789=${id}@${tenant}`), ...ACCOUNTS];
const JS = {language: 'javascript', code: 'console.log(1)'};

type Person = keyof typeof PEOPLE | 'ann2' | 'eve2';
type Shown = {error?: {code: string; message: string}} & ModeReply;

async function serve(scope: Scope, {env = {}, dataDir = freshData(scope)}: {env?: Env; dataDir?: string} = {}) {
	const sandboxes = {SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_AUTH_TOKENS: TOKENS.join(',')};
	return startWrit(scope, {dataDir, until: 'listening', env: {...sandboxes, ...env}});
}

async function ask<T>(writ: Writ, person: Person, route: string, body?: unknown): Promise<{status: number; body: T}> {
	const init = body === undefined ? {} : jsonPost(body);
	const headers = {...(init.headers as Record<string, string>), authorization: `Bearer ${person}-token-0123456789`};
	const reply = await writ.request(route, {...init, headers});
	return {status: reply.status, body: (await reply.json()) as T};
}

const set = (writ: Writ, person: Person, wanted: Partial<ModeRequest>) => ask<Shown>(writ, person, '/api/v1/kill-switch', wanted);
const show = (writ: Writ, person: Person) => ask<Shown>(writ, person, '/api/v1/kill-switch');
const run = async (writ: Writ, person: Person) => {
	const {status, body} = await ask<WorkReply & Shown>(writ, person, '/api/v1/code', JS);
	return body.error && status !== 200 ? body.error.code : body.status;
};

test('a tenant that is stopped starts nothing, and no other tenant notices', async (t) => {
	const writ = await serve(t);
	const {body} = await set(writ, 'ann', {reason: 'a drill', scope: {tenant: 'acme'}});
	assert.deepEqual(
		body.scoped.map(({mode, scope, by, reason}) => [mode, scope, by?.id, reason]),
		[['observe', {tenant: 'acme'}, 'ann', 'a drill']],
	);
	assert.equal(await run(writ, 'ben'), 'stopped');
	assert.equal(await run(writ, 'eve'), 'succeeded');
	const seen = await show(writ, 'eve');
	assert.deepEqual(seen.body, {...seen.body, mode: 'execute', scoped: [], by: null, reason: ''});

	assert.deepEqual((await set(writ, 'ann', {mode: 'execute', scope: {tenant: 'acme'}})).body.scoped[0]?.asked?.by.id, 'ann');
	assert.equal(await run(writ, 'ann'), 'stopped', 'one person alone does not let it go on');
	assert.deepEqual((await set(writ, 'ben', {mode: 'execute', scope: {tenant: 'acme'}})).body.scoped, []);
	assert.equal(await run(writ, 'ann'), 'succeeded');
});

test('a tool that only proposes asks a person, one that is observed does nothing, and both are on record', async (t) => {
	const writ = await serve(t);
	await set(writ, 'ann', {mode: 'propose', scope: {tool: 'code.javascript'}, reason: 'look at each'});
	const {body} = await ask<WorkReply>(writ, 'ben', '/api/v1/code', JS);
	assert.equal(body.status, 'awaiting_approval');
	assert.equal(await run(writ, 'eve'), 'succeeded', 'the tool of another tenant goes on');
	await set(writ, 'ann', {mode: 'observe', scope: {tool: 'code.*'}, reason: 'enough'});
	const cancelled = await ask<WorkReply>(writ, 'ben', `/api/v1/code/${body.runId}`);
	assert.equal(cancelled.body.status, 'cancelled', 'what waited for it is over');
	assert.equal(await run(writ, 'ben'), 'rejected');
	const {entries} = (await ask<AuditReply>(writ, 'ben', '/api/v1/audit?type=mode.changed')).body;
	assert.deepEqual(
		entries.map(({actor, detail}) => [actor, detail]),
		[
			['ann', 'observe for tenant acme, tool code.*: enough'],
			['ann', 'propose for tenant acme, tool code.javascript: look at each'],
		],
	);
});

test('the mode of another tenant is nobody else’s to change', async (t) => {
	const writ = await serve(t);
	const {status, body} = await set(writ, 'eve', {scope: {tenant: 'acme'}});
	assert.deepEqual([status, body.error?.code], [403, 'forbidden']);
	assert.equal(await run(writ, 'ann'), 'succeeded');
});

test('what stopped the platform is said to its own tenant only', async (t) => {
	const writ = await serve(t);
	await set(writ, 'ann', {reason: 'the customer called'});
	const {body} = await show(writ, 'eve');
	assert.deepEqual([body.mode, body.by?.id, body.reason], ['observe', 'somebody of another tenant', '']);
	const refused = await ask<Shown>(writ, 'eve', '/api/v1/code', JS);
	assert.equal(refused.body.error?.code, 'stopped');
	assert.doesNotMatch(JSON.stringify(refused.body), /ann|customer/);
});

test('modes outlive the server, and policy.yaml sets a floor that nobody loosens', async (t) => {
	const dataDir = freshData(t);
	const file = path.join(dataDir, 'policy.yaml');
	writeFileSync(file, 'version: 1\nmodes:\n  - {tenant: other, mode: observe}\n  - {tool: code.javascript, mode: propose}\n');
	const env = {WRIT_POLICY_FILE: file};
	const first = await serve(t, {dataDir, env});
	await set(first, 'ann', {scope: {agent: 'analyst'}});
	await first.stop();
	const writ = await serve(t, {dataDir, env});
	const {body} = await show(writ, 'ann');
	assert.deepEqual(
		[body.scoped.map(({mode, scope}) => [mode, scope]), body.defaults],
		[[['observe', {agent: 'analyst', tenant: 'acme'}]], [{mode: 'propose', scope: {tool: 'code.javascript'}}]],
	);
	const policy = await ask<object>(writ, 'ann', '/api/v1/policy');
	assert.deepEqual([policy.status, /observe|tenant: other/.test(JSON.stringify(policy.body))], [200, false]);
	assert.equal(await run(writ, 'ann'), 'awaiting_approval');
	assert.equal(await run(writ, 'eve'), 'stopped');
	await set(writ, 'eve', {mode: 'execute', scope: {tenant: 'other'}});
	assert.equal(await run(writ, 'eve'), 'stopped');
});

test('`writ mode` sets and shows them', async (t) => {
	const writ = await startWrit(t, {dataDir: freshData(t), until: 'listening', env: {WRIT_POOL_SIZE: '0'}});
	const mode = (...args: string[]) => runWrit(['mode', ...args], {env: {WRIT_URL: writ.url}});
	const {out} = await mode('observe', '--tool', 'code.*', '-m', 'a drill');
	assert.match(out, /^execute\ntenant local, tool code\.\*: observe, set by local at .*: a drill\n$/);
	assert.match((await mode('execute', '--tool', 'code.*')).out, /^execute\n$/);
	assert.equal((await mode('sometimes')).exit, 2);
	const events: readonly Event[] = await writ.events('mode-2');
	assert.deepEqual(
		events.map(({type}) => type),
		['run.started', 'mode.changed', 'run.finished'],
	);
	assert.equal((await writ.verify('mode-2')).verdict, 'valid');
});

test('a stop that meets other changes at the same moment is durable all the same', async (t) => {
	const writ = await serve(t);
	const replies = await Promise.all([
		set(writ, 'eve', {mode: 'propose', scope: {agent: 'e1'}}),
		set(writ, 'ann', {reason: 'at once'}),
		...['e2', 'e3', 'e4', 'e5'].map((agent) => set(writ, 'eve', {mode: 'propose', scope: {agent}})),
	]);
	assert.deepEqual(new Set(replies.map(({status}) => status)), new Set([200]));
	await writ.stop();
	const again = await serve(t, {dataDir: writ.dataDir});
	const {body} = await show(again, 'ann');
	assert.deepEqual([body.mode, body.reason, body.number], ['observe', 'at once', replies.length]);
	assert.equal(await run(again, 'eve'), 'stopped');
});

test('two accounts of one person are one person, and who is alone in a tenant needs nobody of another', async (t) => {
	const writ = await serve(t);
	const scope = {tool: 'code.shell'};
	await set(writ, 'ann', {scope});
	assert.equal((await set(writ, 'ann', {mode: 'execute', scope})).body.scoped[0]?.asked?.by.id, 'ann');
	assert.equal((await set(writ, 'ann2', {mode: 'execute', scope})).body.scoped[0]?.mode, 'observe');
	assert.deepEqual((await set(writ, 'ben', {mode: 'execute', scope})).body.scoped, []);

	await set(writ, 'eve', {scope});
	assert.deepEqual((await set(writ, 'eve2', {mode: 'execute', scope})).body.scoped, []);
	const placed = await ask<{holdId: string}>(writ, 'eve', '/api/v1/holds', {kind: 'tenant', target: '', reason: 'case 1'});
	const released = await ask<{state: string}>(writ, 'eve', `/api/v1/holds/${placed.body.holdId}/release`, {reason: 'over'});
	assert.equal(released.body.state, 'released');
});

test('a name that reads like another scope is no other scope', async (t) => {
	const writ = await serve(t);
	await set(writ, 'ann', {scope: {agent: 'x', tool: 'code.*'}});
	await set(writ, 'ben', {mode: 'execute', scope: {agent: 'x,tool:code.*'}});
	const {body} = await show(writ, 'ann');
	assert.deepEqual(
		body.scoped.map(({mode, scope, asked}) => [mode, scope, asked]),
		[['observe', {agent: 'x', tool: 'code.*', tenant: 'acme'}, null]],
	);
});

test('a scope is kept as it is, whatever it looks like, and a reason is not', async (t) => {
	const writ = await serve(t);
	const scope = {agent: 'ann/AKIAIOSFODNN7EXAMPLE'};
	const {body} = await set(writ, 'ann', {scope, reason: 'it used AKIAIOSFODNN7EXAMPLE'});
	assert.deepEqual(
		body.scoped.map((one) => [one.scope, one.reason]),
		[[{...scope, tenant: 'acme'}, 'it used [redacted:aws-key]']],
	);
});

const AGENT = {kind: 'agent', id: 'bot', tenant: 'acme'} as const;

test('the strictest mode that fits counts, and a person is no agent', () => {
	const rules = [
		{mode: 'propose', scope: {tenant: 'acme'}},
		{mode: 'observe', scope: {agent: 'bot', tool: 'docker.*'}},
		{mode: 'observe', scope: {tenant: 'other'}},
	] as const;
	const under = (kind: 'agent' | 'user' | 'service', tool?: string) =>
		modeFor(rules, {principal: {...AGENT, kind}, ...(tool !== undefined && {tool})}).mode;
	assert.deepEqual(
		[under('agent', 'docker.restart'), under('service', 'docker.restart'), under('agent', 'dockers'), under('agent')],
		['observe', 'observe', 'propose', 'propose'],
	);
	assert.equal(under('user', 'docker.restart'), 'propose');
	const through = (kind: 'agent' | 'user') =>
		modeFor(rules, {principal: {...AGENT, id: 'other', via: {kind, id: 'bot'}}, tool: 'docker.restart'}).mode;
	assert.deepEqual([through('agent'), through('user')], ['observe', 'propose']);
	assert.equal(modeFor(rules, {principal: {...AGENT, tenant: 'third', kind: 'user'}}).mode, 'execute');
	assert.equal(createModeGate([{mode: 'execute', scope: {}}]), null);
});
