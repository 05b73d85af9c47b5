import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {test} from 'node:test';
import {testServer} from './doubles/test-server.ts';
import {describeServer} from './server.ts';

type Operation = {
	operationId: string;
	summary: string;
	parameters?: {name: string; in: string}[];
	requestBody?: {content: Record<string, {schema: object}>};
	responses: Record<string, {description: string; content?: Record<string, {schema: object}>}>;
};

const document = describeServer('0.0.0');
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
	Object.entries(methods).map(([method, operation]) => ({path, method, operation: operation as unknown as Operation})),
);

test('every route of the contract is described', () => {
	const routes = operations.map(({method, path}) => `${method} ${path}`).sort();
	assert.deepEqual(routes, [
		'delete /api/v1/datasets/{dataset_id}',
		'get /api/v1/accounts',
		'get /api/v1/approvals',
		'get /api/v1/approvals/{approval_id}',
		'get /api/v1/audit',
		'get /api/v1/audit/export',
		'get /api/v1/budget',
		'get /api/v1/code/{run_id}',
		'get /api/v1/code/{run_id}/artifacts/{sha256}',
		'get /api/v1/config',
		'get /api/v1/doctor',
		'get /api/v1/holds',
		'get /api/v1/kill-switch',
		'get /api/v1/me',
		'get /api/v1/policy',
		'get /api/v1/retention/preview',
		'get /api/v1/tokens',
		'get /api/v1/tools',
		'get /datasets',
		'get /datasets/{dataset_id}/schema',
		'get /healthz',
		'get /metrics',
		'get /readyz',
		'get /runs',
		'get /runs/{run_id}',
		'get /runs/{run_id}/events',
		'get /runs/{run_id}/evidence',
		'get /runs/{run_id}/export',
		'get /runs/{run_id}/status',
		'get /runs/{run_id}/stream',
		'get /threads',
		'get /threads/{thread_id}/messages',
		'post /api/v1/accounts/{account}',
		'post /api/v1/approvals/{approval_id}/comment',
		'post /api/v1/approvals/{approval_id}/delegate',
		'post /api/v1/approvals/{approval_id}/grant',
		'post /api/v1/approvals/{approval_id}/reject',
		'post /api/v1/approvals/{approval_id}/revoke',
		'post /api/v1/code',
		'post /api/v1/datasets/samples',
		'post /api/v1/holds',
		'post /api/v1/holds/{hold_id}/release',
		'post /api/v1/kill-switch',
		'post /api/v1/policy/backtest',
		'post /api/v1/policy/check',
		'post /api/v1/policy/explain',
		'post /api/v1/policy/reload',
		'post /api/v1/retention/run',
		'post /api/v1/runs/{run_id}/replay',
		'post /api/v1/tests',
		'post /api/v1/tokens',
		'post /api/v1/tokens/{token_id}/revoke',
		'post /chat',
		'post /chat/stream',
		'post /datasets',
		'post /runs',
		'post /runs/{run_id}/cancel',
		'post /runs/{run_id}/rerun',
		'post /runs/{run_id}/verify',
	]);
});

for (const {method, path, operation} of operations) {
	test(`${method} ${path} has a name, a summary, its parameters, and a schema for every body`, () => {
		assert.match(operation.operationId, /^[a-z][A-Za-z]+$/);
		assert.ok(operation.summary.length > 5);
		const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
		assert.deepEqual(
			(operation.parameters ?? []).filter((given) => given.in === 'path').map(({name}) => name),
			inPath,
		);
		assert.deepEqual(operation.responses.default?.content?.['application/json']?.schema, {$ref: '#/components/schemas/Error'});
		const bodies = [
			operation.requestBody,
			...Object.entries(operation.responses).flatMap(([status, reply]) => (status === '204' ? [] : [reply])),
		];
		for (const body of bodies) {
			if (!body) continue;
			assert.ok(Object.keys(body.content ?? {}).length > 0);
			for (const {schema} of Object.values(body.content ?? {})) assert.ok(Object.keys(schema).length > 0);
		}
	});
}

test('operation names are unique and every reference leads to a schema', () => {
	assert.equal(new Set(operations.map(({operation}) => operation.operationId)).size, operations.length);
	const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target]) => target ?? '');
	assert.ok(references.length > 50);
	const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
	assert.deepEqual(
		references.filter((target) => !known.includes(target)),
		[],
	);
});

test('the page of the API shows every operation, needs nothing from elsewhere and allows only its own style', async () => {
	const {ask} = testServer();
	const reply = await ask('/docs');
	const html = await reply.text();
	for (const {operation} of operations)
		assert.ok(html.includes(`<details id="${operation.operationId}">`), operation.operationId);
	assert.doesNotMatch(html, /<script|src=|https?:\/\//);
	const style = /<style>([\s\S]*?)<\/style>/.exec(html)?.[1] ?? '';
	const hash = createHash('sha256').update(style).digest('base64');
	assert.ok(reply.headers.get('content-security-policy')?.includes(`'sha256-${hash}'`));
});
