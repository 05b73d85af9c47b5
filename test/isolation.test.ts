/**
 * Two tenants on one server, each with data: whatever one asks for by an id of the other is answered as if there were no such thing,
 * and nothing that is listed is the other's. Every route of the API is visited; a new one fails here until somebody says how.
 */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {CapsuleReply} from './isolation-data.ts';
import {type Data, fillTenant, type Person, personOf, serveTwo} from './isolation-data.ts';

/** A request of the other tenant; what names an id in its place is asked again with one that does not exist. */
type Probe = {readonly path?: string; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>>};

type Visit =
	/** the same answer as for what does not exist */
	| {readonly kind: 'absent'; readonly probes: (ids: Ids) => readonly Probe[]}
	/** an answer of the caller's own, without anything of the other */
	| {readonly kind: 'own'; readonly probes: (ids: Ids) => readonly Probe[]};

type Ids = Readonly<
	Record<'run' | 'code' | 'waiting' | 'thread' | 'dataset' | 'approval' | 'sha256' | 'token' | 'account' | 'hold', string>
>;

const NOWHERE: Ids = {
	...{run: 'run_0', code: 'run_1', waiting: 'run_2', thread: 'thread-0', dataset: 'nothing_here', approval: 'apr_0'},
	...{sha256: 'e'.repeat(64), token: 'tok_0', account: 'somebody-else', hold: 'hold_0'},
};

const absent = (probes: (ids: Ids) => readonly Probe[]): Visit => ({kind: 'absent', probes});
const own = (probes: (ids: Ids) => readonly Probe[] = () => [{}]): Visit => ({kind: 'own', probes});
/** Each run of the other tenant in the place of the id, with these ends. */
const ofRuns = (make: (run: string) => readonly Probe[]) => absent(({run, code, waiting}) => [run, code, waiting].flatMap(make));
const answering = (verb: string, body: unknown) =>
	absent(({approval}) => [{path: `/api/v1/approvals/${approval}/${verb}`, body}]);

const VISITS: Readonly<Record<string, Visit>> = {
	'post /chat': absent(({dataset}) => [{body: {dataset_id: dataset, message: 'SQL: SELECT 1'}}]),
	'post /chat/stream': absent(({dataset}) => [{body: {dataset_id: dataset, message: 'SQL: SELECT 1'}}]),
	'post /runs': absent(({dataset}) => [{body: {dataset_id: dataset, query_type: 'sql', sql: 'SELECT 1'}}]),
	'get /runs': own(({thread, dataset}) => [
		...['', '?job=analyst', '?job=system', `?thread_id=${thread}`, `?dataset_id=${dataset}`, '?text=secret'].map((query) => ({
			path: `/runs${query}`,
		})),
	]),
	'post /api/v1/code': own(() => [{body: {language: 'javascript', code: 'console.log(2)'}}]),
	'post /api/v1/tests': own(() => [{body: {framework: 'node', files: [{name: 'a.test.js', content: ''}]}}]),
	'get /api/v1/code/{run_id}': ofRuns((run) => [{path: `/api/v1/code/${run}`}]),
	'get /api/v1/code/{run_id}/artifacts/{sha256}': absent(({code, sha256}) => [
		{path: `/api/v1/code/${code}/artifacts/${sha256}`},
	]),
	'get /runs/{run_id}': ofRuns((run) => [{path: `/runs/${run}`}]),
	'get /runs/{run_id}/status': ofRuns((run) => [{path: `/runs/${run}/status`}]),
	'post /runs/{run_id}/rerun': ofRuns((run) => [{path: `/runs/${run}/rerun`, body: undefined}]),
	'post /runs/{run_id}/cancel': ofRuns((run) => [{path: `/runs/${run}/cancel`, body: undefined}]),
	'get /runs/{run_id}/export': ofRuns((run) =>
		['csv', 'json', 'xlsx'].map((format) => ({path: `/runs/${run}/export?format=${format}`})),
	),
	'get /runs/{run_id}/evidence': ofRuns((run) =>
		['capsule', 'bundle'].map((format) => ({path: `/runs/${run}/evidence?format=${format}`})),
	),
	'post /runs/{run_id}/verify': ofRuns((run) => [{path: `/runs/${run}/verify`, body: undefined}]),
	'get /runs/{run_id}/events': ofRuns((run) => [
		{path: `/runs/${run}/events`, headers: {accept: 'application/json'}},
		{path: `/runs/${run}/events`, headers: {accept: 'text/event-stream'}},
		{path: `/runs/${run}/events`, headers: {accept: 'text/event-stream', 'last-event-id': '1'}},
	]),
	'get /runs/{run_id}/stream': ofRuns((run) => [
		{path: `/runs/${run}/stream`},
		{path: `/runs/${run}/stream`, headers: {'last-event-id': `${run}:1`}},
	]),
	'get /datasets': own(),
	'post /datasets': own(() => [{body: {path: '/etc/passwd'}}]),
	'get /datasets/{dataset_id}/schema': absent(({dataset}) => [{path: `/datasets/${dataset}/schema`}]),
	'post /api/v1/datasets/samples': own(() => [{body: undefined}]),
	'delete /api/v1/datasets/{dataset_id}': absent(({dataset}) => [{path: `/api/v1/datasets/${dataset}`, body: undefined}]),
	'get /threads': own(),
	'get /threads/{thread_id}/messages': absent(({thread}) => [{path: `/threads/${thread}/messages`}]),
	'get /api/v1/approvals': own(() =>
		['', '?state=pending', '?state=cancelled'].map((query) => ({path: `/api/v1/approvals${query}`})),
	),
	'get /api/v1/approvals/{approval_id}': absent(({approval}) => [{path: `/api/v1/approvals/${approval}`}]),
	'post /api/v1/approvals/{approval_id}/grant': answering('grant', {comment: 'x', previewDigest: '0'.repeat(64)}),
	'post /api/v1/approvals/{approval_id}/reject': answering('reject', {comment: 'x'}),
	'post /api/v1/approvals/{approval_id}/revoke': answering('revoke', {comment: 'x'}),
	'post /api/v1/approvals/{approval_id}/comment': answering('comment', {comment: 'x'}),
	'post /api/v1/approvals/{approval_id}/delegate': answering('delegate', {to: 'eve-of-other', comment: 'x'}),
	'get /api/v1/tools': own(),
	'get /api/v1/doctor': own(),
	'get /api/v1/budget': own(),
	'get /api/v1/kill-switch': own(),
	'post /api/v1/kill-switch': own(() => [{body: {mode: 'observe', scope: {tool: 'docker.restart'}}}]),
	'get /api/v1/config': own(),
	'get /api/v1/audit': own(({run, code}) => [
		...['', `?run=${run}`, `?run=${code}`, '?principal=ann-of-acme', '?type=mode.changed', '?text=secret'].map((query) => ({
			path: `/api/v1/audit${query}`,
		})),
	]),
	'get /api/v1/audit/export': own(({run}) => [
		...['?format=ndjson', '?format=csv', `?run=${run}`].map((query) => ({path: `/api/v1/audit/export${query}`})),
	]),
	'get /api/v1/holds': own(),
	'post /api/v1/holds': absent(({run, thread, dataset}) => [
		{body: {kind: 'run', target: run, reason: 'mine'}},
		{body: {kind: 'thread', target: thread, reason: 'mine'}},
		{body: {kind: 'dataset', target: dataset, reason: 'mine'}},
	]),
	'post /api/v1/holds/{hold_id}/release': absent(({hold}) => [{path: `/api/v1/holds/${hold}/release`, body: {reason: 'mine'}}]),
	'get /api/v1/retention/preview': own(),
	'post /api/v1/retention/run': own(() => [{body: undefined}]),
	'post /api/v1/runs/{run_id}/replay': ofRuns((run) => [{path: `/api/v1/runs/${run}/replay`, body: undefined}]),
	'get /api/v1/policy': own(),
	'post /api/v1/policy/reload': own(() => [{body: undefined}]),
	'post /api/v1/policy/explain': ofRuns((runId) => [{body: {runId}}, {body: {runId, actionId: 'act_1'}}]),
	'post /api/v1/policy/check': own(() => [{body: {policy: {text: 'version: 1\n'}}}]),
	'post /api/v1/policy/backtest': own(() => [
		{body: {policy: {name: 'policy.yaml', text: 'version: 1\n', files: {}}, since: '2020-01-01T00:00:00.000Z'}},
	]),
	'get /api/v1/me': own(),
	'get /api/v1/tokens': own(() => ['', '?all=true'].map((query) => ({path: `/api/v1/tokens${query}`}))),
	'post /api/v1/tokens': own(() => [{body: {name: 'mine', roles: ['viewer']}}]),
	'post /api/v1/tokens/{token_id}/revoke': absent(({token}) => [{path: `/api/v1/tokens/${token}/revoke`, body: undefined}]),
	'get /api/v1/accounts': own(),
	'post /api/v1/accounts/{account}': absent(({account}) => [{path: `/api/v1/accounts/${account}`, body: {disabled: true}}]),
	'get /healthz': own(),
	'get /readyz': own(),
	'get /metrics': own(),
};

test('every route is visited', async (t) => {
	const writ = await serveTwo(t);
	const {paths} = (await (await writ.request('/openapi.json')).json()) as {paths: Record<string, Record<string, unknown>>};
	const routes = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
	assert.ok(routes.length > 40);
	assert.deepEqual(routes.toSorted(), Object.keys(VISITS).toSorted());

	const [ann, eve] = [personOf(writ, 'ann-of-acme'), personOf(writ, 'eve-of-other')];
	const data = await fillTenant(ann, 'acme');
	await fillTenant(eve, 'other');
	const before = await stateOf(ann, data);
	const faults: string[] = [];
	const counts = {asked: 0};
	for (const [route, visit] of Object.entries(VISITS)) {
		const [method = '', path = ''] = route.split(' ');
		const [there, nowhere] = [visit.probes(data.ids), visit.probes(NOWHERE)];
		for (const [index, probe] of there.entries()) {
			counts.asked += 1;
			const given = await ask(eve, {method, path, ...probe});
			const marks = data.marks.filter((mark) => given.text.includes(mark) && !JSON.stringify(probe).includes(mark));
			if (marks.length > 0) faults.push(`${route} ${JSON.stringify(probe)} tells of ${marks.join(', ')}`);
			if (visit.kind === 'own') continue;
			const expected = await ask(eve, {method, path, ...nowhere[index]});
			const [one, other] = [inGeneral(given, data.ids), inGeneral(expected, NOWHERE)];
			if (one !== other) faults.push(`${route} ${JSON.stringify(probe)}\n  theirs:  ${one}\n  nothing: ${other}`);
		}
	}
	assert.deepEqual(faults, []);
	assert.ok(counts.asked > 90, `only ${counts.asked} requests were made`);
	assert.deepEqual(await stateOf(ann, data), before, 'nothing of the tenant was changed');
	// The same requests by their own tenant find what there is: the ids were good.
	for (const route of ['get /runs/{run_id}', 'get /datasets/{dataset_id}/schema', 'get /api/v1/approvals/{approval_id}']) {
		const [probe] = VISITS[route]?.probes(data.ids) ?? [];
		assert.equal((await ask(ann, {method: 'get', path: '', ...probe})).status, 200, route);
	}
});

type Asked = {readonly status: number; readonly headers: readonly string[]; readonly text: string};

async function ask(person: Person, {method, path, body, headers = {}}: Probe & {readonly method: string}): Promise<Asked> {
	const json = body === undefined ? {} : {body: JSON.stringify(body), headers: {'content-type': 'application/json', ...headers}};
	const stop = AbortSignal.timeout(120_000);
	const reply = await person(path ?? '', {method: method.toUpperCase(), headers, signal: stop, ...json});
	const names = [...reply.headers].filter(([name]) => !VOLATILE.has(name)).map(([name, value]) => `${name}: ${value}`);
	return {status: reply.status, headers: names, text: await reply.text()};
}

const VOLATILE: ReadonlySet<string> = new Set([
	'date',
	'x-request-id',
	'content-length',
	'ratelimit',
	'x-writ-run-id',
	'keep-alive',
]);

/** An answer without what is of this one request: the id that was asked for, and that of the request. */
function inGeneral({status, headers, text}: Asked, ids: Ids): string {
	const named = Object.values(ids).reduce((rest, id) => rest.replaceAll(id, 'ID'), JSON.stringify({status, headers, text}));
	return named
		.replaceAll(/hld_[0-9a-z]+/g, 'HOLD')
		.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
		.replaceAll(/req-[0-9a-f-]{36}/g, 'REQUEST')
		.replaceAll(/\\?"(requestId|request_id)\\?":\\?"[^"\\]*\\?"/g, '"requestId"');
}

/** What a tenant sees of its own: after the other has tried everything it is what it was. */
async function stateOf(person: Person, {ids}: Data): Promise<CapsuleReply> {
	const read = async (path: string) => (await person(path, {headers: {accept: 'application/json'}})).json() as Promise<unknown>;
	const paths = [
		`/runs/${ids.run}/events`,
		`/runs/${ids.waiting}/events`,
		`/threads/${ids.thread}/messages`,
		'/threads',
		'/datasets',
	];
	return Promise.all([...paths, `/api/v1/approvals/${ids.approval}`, '/api/v1/tokens?all=true', '/runs'].map(read));
}
