import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Store} from '#kernel/ports.ts';
import {ANN, at, batch, finished, message, started} from './sample-run.ts';
import {ALL, appendAll, eachStore} from './test-stores.ts';

const BOB = {...ANN, id: 'bob', tenant: 'other'};

eachStore(process.env, ({store: fresh}) => {
	const questions = ['Sales by REGION', 'Überblick 100%', 'a_b', 'aXb', 'back\\slash!', 'nul\0 and \uD800', null];
	const fill = async (store: Store): Promise<void> => {
		for (const [n, question] of questions.entries()) {
			const dataset = {id: n % 2 === 0 ? 'even' : 'odd', hash: 'h'};
			const start = started({question, dataset, mode: n < 3 ? 'sql' : 'chat', threadId: n < 2 ? 't1' : null});
			// Two runs a second: ties are broken by the id.
			await store.append(batch({runId: `r${n}`, expectedSeq: 0, second: n >> 1}, start, ...(n === 4 ? [finished()] : [])));
		}
		await store.append(batch({runId: 'x', expectedSeq: 0}, started({principal: BOB, job: 'ops'})));
	};

	const filters = [
		['all of a tenant, newest first', {}, ['r6', 'r5', 'r4', 'r3', 'r2', 'r1', 'r0']],
		['none of an unknown tenant', {tenant: 'nobody'}, []],
		['only the other tenant’s', {tenant: 'other'}, ['x']],
		['by job', {job: 'ops'}, []],
		['by status', {status: 'succeeded'}, ['r4']],
		['by dataset', {datasetId: 'odd'}, ['r5', 'r3', 'r1']],
		['by thread', {threadId: 't1'}, ['r1', 'r0']],
		['by mode', {mode: 'sql'}, ['r2', 'r1', 'r0']],
		['by several', {mode: 'sql', datasetId: 'even'}, ['r2', 'r0']],
		['by text in any case', {text: 'region'}, ['r0']],
		['by text in any case of any alphabet', {text: 'üBER'}, ['r1']],
		['by text with a percent sign', {text: '%'}, ['r1']],
		['by text with an underscore', {text: 'A_B'}, ['r2']],
		['by text with an exclamation mark', {text: '\\slash!'}, ['r4']],
		['by text with a NUL', {text: 'nul\0'}, ['r5']],
		['by empty text', {text: ''}, ['r6', 'r5', 'r4', 'r3', 'r2', 'r1', 'r0']],
		['since a time', {since: '2026-03-01T12:00:02Z'}, ['r6', 'r5', 'r4']],
		['until a time', {until: '2026-03-01T13:00:01+01:00'}, ['r1', 'r0']],
	] as const;
	test('runs are listed by every filter', async () => {
		const store = await fresh();
		await fill(store);
		for (const [what, filter, expected] of filters) {
			const {rows, next} = await store.runs({...ALL, ...filter});
			assert.deepEqual({what, ids: rows.map(({runId}) => runId), next}, {what, ids: expected, next: null});
		}
	});

	test('pages of runs follow one another without gap or repetition', async () => {
		const store = await fresh();
		await fill(store);
		const pages: string[][] = [];
		let cursor: string | null = null;
		do {
			const page: Awaited<ReturnType<Store['runs']>> = await store.runs({tenant: 'local', limit: 3, ...(cursor ? {cursor} : {})});
			pages.push(page.rows.map(({runId}) => runId));
			cursor = page.next;
		} while (cursor);
		assert.deepEqual(pages, [['r6', 'r5', 'r4'], ['r3', 'r2', 'r1'], ['r0']]);
	});

	const invalid = {
		'a limit of zero': {limit: 0},
		'a limit above 200': {limit: 201},
		'half a row': {limit: 1.5},
		'a cursor that was made up': {cursor: 'made-up'},
		'a cursor of the wrong shape': {cursor: Buffer.from('["2026",1]').toString('base64url')},
		'a time that is none': {since: 'yesterday'},
		'text without end': {text: 'x'.repeat(1001)},
	};
	test('a limit, a cursor, a time or a text that no page could have is refused', async () => {
		const store = await fresh();
		for (const [what, filter] of Object.entries(invalid))
			await assert.rejects(store.runs({...ALL, ...filter}), {name: 'WritError', code: 'validation_error'}, what);
	});

	test('a thread gives its latest messages, oldest first, to its tenant', async () => {
		const store = await fresh();
		const say = ['one', 'two', 'three'].map((content) => message('user', content));
		await store.append(batch({runId: 'r', expectedSeq: 0}, started(), ...say, message('assistant', 'elsewhere', 't2')));
		const rows = await store.messages('local', 't1', 2);
		const common = {threadId: 't1', createdAt: at(0), datasetId: 'support', role: 'user', runId: 'r'};
		assert.deepEqual(
			rows.map(({id, ...row}) => row),
			['two', 'three'].map((content) => ({...common, content})),
		);
		assert.deepEqual(await store.messages('other', 't1', 2), []);
		assert.deepEqual(
			rows.map(({id}) => id),
			rows.map(({id}) => id).toSorted((a, b) => a - b),
		);
	});

	test('threads are listed newest first, named by their first question', async () => {
		const store = await fresh();
		await appendAll(
			store,
			batch({runId: 'r', expectedSeq: 0}, started(), message('assistant', 'welcome'), message('user', 'first?')),
			batch({runId: 's', expectedSeq: 0, second: 5}, started(), message('user', 'other?', 't2')),
			batch({runId: 'r', expectedSeq: 3, second: 7}, message('user', 'second?', 't1', 'sensors')),
			batch({runId: 'x', expectedSeq: 0}, started({principal: BOB}), message('user', 'secret?')),
		);
		const t1 = {threadId: 't1', datasetId: 'sensors', title: 'first?', messages: 3, updatedAt: at(7)};
		const t2 = {threadId: 't2', datasetId: 'support', title: 'other?', messages: 1, updatedAt: at(5)};
		assert.deepEqual(await store.threads('local', 10), [t1, t2]);
		assert.deepEqual(await store.threads('local', 1), [t1]);
		assert.deepEqual(
			(await store.threads('other', 10)).map(({title}) => title),
			['secret?'],
		);
	});
});
