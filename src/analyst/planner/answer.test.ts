/** The planner on the whole path: the gates, the store and real sandboxes. */
import assert from 'node:assert/strict';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, before, test} from 'node:test';
import {loadConfig} from '#config/config.ts';
import type {ChatResponse} from '#contract/api.ts';
import {createPlatform, type Platform} from '../../platform.ts';
import {createPlannerAnswerer} from './answer.ts';

const world = {} as {platform: Platform; directory: string};
const caller = () => ({
	principal: {kind: 'user', id: 'ada', tenant: 'local'} as const,
	requestId: 'req',
	signal: new AbortController().signal,
});

before(async () => {
	world.directory = await mkdtemp(path.join(tmpdir(), 'writ-planner-'));
	const env = {WRIT_DATA_DIR: path.join(world.directory, 'data'), WRIT_POOL_SIZE: '1', WRIT_MAX_SANDBOXES: '2', MAX_ROWS: '20'};
	world.platform = await createPlatform({
		config: loadConfig({env}).config,
		root: path.resolve(import.meta.dirname, '../../..'),
		software: 'writ test',
		report: () => {},
		answerer: ({store}) => createPlannerAnswerer({store}),
	});
	const file = path.join(world.directory, 'sales.csv');
	const rows = Array.from(
		{length: 30},
		(_, index) => `${index + 1},${['north', 'south', 'west'][index % 3]},${['tea', 'coffee'][index % 2]},${index}.5`,
	);
	await writeFile(file, `sale_id,region,product,amount\n${rows.join('\n')}\n`);
	await world.platform.analyst.add({id: 'sales', files: [{name: 'sales.csv', path: file}]}, caller());
});

after(async () => {
	await world.platform.close();
	await rm(world.directory, {recursive: true, force: true});
});

function ask(message: string, thread?: string): Promise<ChatResponse> {
	return world.platform.analyst.chat({dataset_id: 'sales', message, ...(thread ? {thread_id: thread} : {})}, caller());
}

test('a question is answered with its result and its reading, and its numbers are checked', async () => {
	const response = await ask('total amount by region');

	assert.equal(response.status, 'succeeded');
	assert.equal(response.details.query_mode, 'plan');
	assert.deepEqual(
		response.result.rows,
		[
			['west', '160'],
			['south', '150'],
			['north', '140'],
		].map(([region, total]) => [region, Number(total)]),
	);
	assert.match(
		response.assistant_message,
		/^Total amount by region: west 160, south 150, north 140\. The result table has them too\.\n\nI read this as: sum of amount by region in sales, highest first\./,
	);
	const events = await world.platform.store.read(response.run_id);
	const [checked] = events.filter(({type}) => type === 'answer.checked');
	assert.ok(checked?.type === 'answer.checked');
	assert.deepEqual(checked.data.warnings, []);
	assert.equal(checked.data.executed, true);
});

test('a question goes on from the one before it in its thread, and not from another thread', async () => {
	const {thread_id: thread} = await ask('average amount by region');
	assert.ok(thread);

	const response = await ask('and by product?', thread);
	assert.deepEqual(response.result.columns, ['product', 'average_amount']);
	const narrowed = await ask('only for north', thread);
	assert.equal(
		narrowed.details.plan_sentence,
		'Average amount as average_amount by product in sales where region is north, highest average_amount first',
	);
	assert.equal((await ask('and by product?')).details.query_mode, 'chat');
});

test('a list that is longer than the row cap says so, with how many there are', async () => {
	const {assistant_message: text, result, details} = await ask('sales with an amount above 5');
	assert.match(text, /^25 rows of 4 columns are in the result table, which shows the first 20\./);
	assert.deepEqual([result.row_count, result.total_rows, result.truncated], [20, 25, {by: 'rows', limit: 20, total: 25}]);
	assert.doesNotMatch(details.compiled_sql ?? '', /LIMIT/);
});

test('a plan without a limit is cut by the row cap alone, and a limit that is asked for is the whole answer', async () => {
	const run = (plan: Record<string, unknown>) =>
		world.platform.analyst.run({dataset_id: 'sales', query_type: 'plan', plan_json: plan}, caller());
	const [open, stated] = [
		await run({table: 'sales', select: ['region']}),
		await run({table: 'sales', select: ['region'], limit: 3}),
	];
	assert.deepEqual([open.result.row_count, open.result.truncated?.total], [20, 30]);
	assert.deepEqual([stated.result.row_count, stated.result.total_rows, stated.result.truncated], [3, 3, null]);
});

test('nothing that matches is said as such, with the conditions', async () => {
	const response = await ask('sales with an amount above 500');
	assert.match(response.assistant_message, /^No rows matched\.\n\nI read this as: .* where amount is more than 500/);
});

test('an average of nothing is not called an empty match', async () => {
	const {assistant_message: text} = await ask('average amount for sales with an amount above 500');
	assert.match(text, /^There is no average amount: no rows matched, or they have no value there\.\n/);
});

test('a question that is not understood runs nothing and says what could be asked', async () => {
	const response = await ask('Which customer complained?');
	assert.equal(response.details.query_mode, 'chat');
	assert.equal(response.result.row_count, 0);
	assert.match(response.assistant_message, /^I cannot answer that without guessing: I do not understand “customer” here\./);
	assert.ok(response.details.suggestions.length > 0);
});

test('a greeting needs no data', async () => {
	assert.match((await ask('hello')).assistant_message, /^Hello\. I answer questions about sales/);
});
