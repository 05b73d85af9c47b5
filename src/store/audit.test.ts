import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {EventBody} from '#contract/event.ts';
import type {AuditFilter, Store} from '#kernel/ports.ts';
import {ANN, asked, batch, finished, granted, hash, intent, message, started} from './sample-run.ts';
import {eachStore} from './test-stores.ts';

const BOT = {kind: 'agent', id: 'bot', tenant: 'local'} as const;
const EVE = {...ANN, id: 'eve', tenant: 'other'};

function proposed(tool: string, input: unknown): EventBody {
	return {
		type: 'action.proposed',
		actor: BOT,
		data: {actionId: 'act_1', tool, toolVersion: '1', input, inputDigest: 'd', redactions: 0},
	};
}

function decided(effect: 'allow' | 'ask' | 'deny', reason: string): EventBody {
	const decision = {
		effect,
		gates: [{gate: 'permission' as const, effect, rules: ['r1'], reason}],
		risk: 'high' as const,
		policyVersion: 'p1',
	};
	return {type: 'action.decided', actor: BOT, data: {actionId: 'act_1', decision}};
}

async function fill(store: Store): Promise<void> {
	const restart = [
		proposed('docker.restart', {target: 'Web'}),
		decided('ask', 'a person decides'),
		asked(),
		granted(),
		intent('apr_1'),
	];
	await store.append(batch({runId: 'r1', expectedSeq: 0, second: 0}, started({question: '100% sure?'}), ...restart, finished()));
	const query = [
		message('user', 'not in the audit'),
		proposed('sql.query', {sql: 'select 1'}),
		decided('deny', 'it is 100_percent forbidden'),
	];
	await store.append(batch({runId: 'r2', expectedSeq: 0, second: 5}, started(), ...query));
	await store.append(batch({runId: 'x', expectedSeq: 0, second: 5}, started({principal: EVE})));
}

eachStore(process.env, ({store: fresh}) => {
	const search = async (store: Store, filter: Partial<AuditFilter>) =>
		(await store.audit({tenant: 'local', limit: 200, ...filter})).rows.map(({runId, seq}) => `${runId}/${seq}`);

	const filters = [
		['all of a tenant, newest first', {}, ['r2/4', 'r2/3', 'r2/1', 'r1/7', 'r1/5', 'r1/4', 'r1/3', 'r1/2', 'r1/1']],
		['none of an unknown tenant', {tenant: 'nobody'}, []],
		['only the other tenant’s', {tenant: 'other'}, ['x/1']],
		['by who acted', {principal: 'bot'}, ['r2/4', 'r2/3', 'r1/3', 'r1/2']],
		['by on whose behalf', {principal: 'ann', runId: 'r2'}, ['r2/4', 'r2/3', 'r2/1']],
		['by tool, with all that is about its action', {tools: ['docker.restart']}, ['r1/5', 'r1/4', 'r1/3', 'r1/2']],
		['by several tools', {tools: ['sql.query', 'docker.restart'], type: 'action.proposed'}, ['r2/3', 'r1/2']],
		['by no tool', {tools: []}, []],
		['by decision', {decision: 'deny'}, ['r2/4']],
		['by type', {type: 'approval.granted'}, ['r1/5']],
		['by run', {runId: 'r2', type: 'run.started'}, ['r2/1']],
		['by text in any case', {text: 'wEB'}, ['r1/4', 'r1/2']],
		['by text with a percent sign', {text: '100%'}, ['r1/1']],
		['by text with an underscore', {text: '100_p'}, ['r2/4']],
		['since a time', {since: '2026-03-01T12:00:05Z', type: 'run.started'}, ['r2/1']],
		['until a time', {until: '2026-03-01T12:00:05Z', type: 'run.started'}, ['r1/1']],
	] as const;
	test('what was done is found by every filter, with its place in its chain', async () => {
		const store = await fresh();
		await fill(store);
		for (const [what, filter, expected] of filters)
			assert.deepEqual({what, found: await search(store, filter as Partial<AuditFilter>)}, {what, found: expected});
		const {rows} = await store.audit({tenant: 'local', limit: 1, decision: 'ask'});
		assert.deepEqual(rows, [
			{
				...{
					runId: 'r1',
					seq: 3,
					hash: hash(3),
					at: '2026-03-01T12:00:00.000Z',
					type: 'action.decided',
					actor: 'bot',
					actorKind: 'agent',
				},
				...{
					principal: 'ann',
					job: 'analyst',
					mode: 'sql',
					actionId: 'act_1',
					tool: 'docker.restart',
					decision: 'ask',
					risk: 'high',
				},
				detail: 'permission ask (r1): a person decides',
				...{address: null, client: null, requestId: null},
			},
		]);
	});

	test('pages of the audit follow one another without gap or repetition', async () => {
		const store = await fresh();
		await fill(store);
		const pages: string[] = [];
		let cursor: string | null = null;
		do {
			const page: Awaited<ReturnType<Store['audit']>> = await store.audit({
				tenant: 'local',
				limit: 2,
				...(cursor ? {cursor} : {}),
			});
			pages.push(page.rows.map(({runId, seq}) => `${runId}/${seq}`).join(' '));
			cursor = page.next;
		} while (cursor);
		assert.deepEqual(pages, ['r2/4 r2/3', 'r2/1 r1/7', 'r1/5 r1/4', 'r1/3 r1/2', 'r1/1']);
		for (const filter of [{limit: 0}, {limit: 201}, {cursor: 'made-up'}, {since: 'yesterday'}])
			await assert.rejects(store.audit({tenant: 'local', limit: 10, ...filter}), {code: 'validation_error'});
	});
});
