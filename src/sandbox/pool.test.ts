import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import {revokePermit} from '#kernel/permit.ts';
import {attackerRuntime, permit, python, spec} from './fixtures/attack.ts';
import {createInMemoryProvider} from './fixtures/in-memory-provider.ts';
import {createPool, type Pool, type PoolOptions} from './pool.ts';
import {createProcessProvider} from './process/process.ts';

const signal = new AbortController().signal;
const other = spec({limits: {wallMs: 1}});
const third = spec({limits: {wallMs: 2}});
const mine = {spec: spec(), tenant: 'a'};

function testPool(options: Partial<PoolOptions> = {}) {
	const provider = createInMemoryProvider();
	const pool = createPool({provider, size: 4, perSpec: 2, concurrency: 8, queue: 100, ...options});
	return {provider, pool, run: (tenant = 'a', of = spec()) => pool.run(permit(tenant), {spec: of, request: python('')}, signal)};
}

async function until(condition: () => boolean): Promise<void> {
	for (let turns = 0; !condition(); turns++) {
		assert.ok(turns < 2_000, 'it did not happen');
		await delay(1);
	}
}

function counts(pool: Pool) {
	const {idle, busy, waiting, warmRuns, coldRuns} = pool.stats();
	return {idle, busy, waiting, warmRuns, coldRuns};
}

describe('a claim', () => {
	test('takes a waiting sandbox, and the shelf is filled again', async () => {
		const {provider, pool, run} = testPool();
		await pool.warm([mine]);
		assert.equal((await run()).isolation.warm, true);
		await until(() => pool.stats().idle === 2);
		assert.deepEqual(counts(pool), {idle: 2, busy: 0, waiting: 0, warmRuns: 1, coldRuns: 0});
		assert.equal(provider.opened.length, 3);
		await pool.close();
	});

	test('gets a new sandbox every time', async () => {
		const {provider, pool, run} = testPool();
		for (let i = 0; i < 10; i++) await run();
		const used = provider.opened.filter(({tenant}) => tenant);
		assert.equal(used.length, 10);
		assert.ok(used.every(({isEnded}) => isEnded));
		await pool.close();
	});

	for (const [what, target] of Object.entries({
		'another tenant': {tenant: 'b', of: spec()},
		'other limits': {tenant: 'a', of: other},
		'other mounts': {tenant: 'a', of: spec({mounts: [{source: '/x', target: '/data'}]})},
		'another runner': {tenant: 'a', of: spec({runner: 'sql'})},
		'less isolation': {tenant: 'a', of: spec({level: 'vm-isolated'})},
	}))
		test(`never takes what waits for ${what}`, async () => {
			const {pool, run} = testPool();
			await pool.warm([mine]);
			assert.equal((await run(target.tenant, target.of)).isolation.warm, false);
			await pool.close();
		});

	test('finds its shelf whatever the order of the keys of its spec', async () => {
		const {pool, run} = testPool();
		await pool.warm([mine]);
		const {limits, ...rest} = spec();
		const reordered = {limits: Object.fromEntries(Object.entries(limits).toReversed()) as typeof limits, ...rest};
		assert.equal((await run('a', reordered)).isolation.warm, true);
		await pool.close();
	});

	test('for files that belong to one run leaves no successor, and takes no place of what others wait with', async () => {
		const {provider, pool, run} = testPool({size: 2});
		await pool.warm([mine]);
		for (const source of ['/x', '/y', '/z']) await run('b', spec({mounts: [{source, target: '/in'}]}));
		await delay(20);
		assert.deepEqual(counts(pool), {idle: 2, busy: 0, waiting: 0, warmRuns: 0, coldRuns: 3});
		assert.equal(provider.attempts, 5);
		assert.equal((await run()).isolation.warm, true);
		await pool.close();
	});

	test('never takes one that has become less than it demands', async () => {
		const {provider, pool, run} = testPool();
		const of = spec({level: 'kernel-isolated'});
		await pool.warm([{spec: of, tenant: 'a'}]);
		const waiting = [...provider.opened];
		provider.level = 'kernel-shared';
		assert.equal((await run('a', of)).isolation.warm, false);
		assert.deepEqual(
			waiting.map(({isEnded, tenant}) => [isEnded, tenant]),
			[
				[true, undefined],
				[false, undefined],
			],
		);
		await pool.close();
	});

	test('finds its shelf where it demands what everything has', async () => {
		const {pool, run} = testPool();
		await pool.warm([mine]);
		assert.equal((await run('a', spec({level: 'none'}))).isolation.warm, true);
		await pool.close();
	});

	test('starts its own when nothing waits', async () => {
		const {pool, run} = testPool();
		assert.equal((await run()).isolation.warm, false);
		await pool.close();
	});

	test('starts its own when it writes to a directory, which no waiting sandbox can have', async () => {
		const {provider, pool, run} = testPool();
		const of = spec({output: '/somewhere'});
		await run('a', of);
		await run('a', of);
		await delay(60);
		assert.deepEqual([pool.stats().coldRuns, provider.opened.length, pool.stats().idle], [2, 2, 0]);
		await pool.close();
	});

	test('waits for the one that is nearly ready', async () => {
		const {provider, pool, run} = testPool();
		provider.held = true;
		const warming = pool.warm([mine]);
		const running = run();
		await until(() => provider.attempts === 2);
		provider.held = false;
		provider.release();
		assert.equal((await running).isolation.warm, true);
		await warming;
		await pool.close();
	});

	test('never takes one that died waiting', async () => {
		const {provider, pool, run} = testPool();
		await pool.warm([mine]);
		for (const sandbox of provider.opened) sandbox.die();
		await until(() => pool.stats().idle === 0);
		assert.equal((await run()).isolation.warm, false);
		assert.equal(pool.stats().lost, 2);
		await until(() => pool.stats().idle === 2);
		await pool.close();
	});

	test('needs a live permit, before it waits for anything', async () => {
		const {provider, pool} = testPool();
		const revoked = permit();
		revokePermit(revoked);
		await assert.rejects(pool.run(revoked, {spec: spec(), request: python('')}, signal), {code: 'policy_denied'});
		assert.equal(provider.attempts, 0);
		await pool.close();
	});
});

describe('the shelves', () => {
	test('hold no more than their size; the least recently used give way', async () => {
		const {provider, pool, run} = testPool({size: 3});
		await pool.warm([mine]);
		for (const next of [other, third]) {
			await run('a', next);
			await until(
				() => provider.opened.filter((each) => each.warm && each.spec === next).length === 2 && pool.stats().starting === 0,
			);
			assert.ok(pool.stats().idle <= 3);
		}
		await until(() => pool.stats().idle === 3);
		const waiting = provider.opened.filter(({isEnded}) => !isEnded).map((each) => each.spec.limits.wallMs);
		assert.deepEqual(waiting.toSorted(), [1, 2, 2]);
		await pool.close();
	});

	test('are filled again when the run is over, which has the processors for itself until then', async () => {
		const {provider, pool, run} = testPool();
		await pool.warm([mine]);
		await delay(10); // what follows the filling is over
		provider.slow = true;
		const running = run();
		await delay(60);
		assert.deepEqual([provider.attempts, pool.stats().busy], [2, 1]);
		for (const sandbox of provider.opened) sandbox.answer();
		await running;
		await until(() => pool.stats().idle === 2);
		assert.equal(provider.attempts, 3);
		await pool.close();
	});

	test('are filled again while a long run goes on', async () => {
		const {provider, pool, run} = testPool();
		await pool.warm([mine]);
		await delay(10); // what follows the filling is over
		provider.slow = true;
		const running = run();
		await until(() => provider.attempts === 3 && pool.stats().idle === 2);
		assert.equal(pool.stats().busy, 1);
		for (const sandbox of provider.opened) sandbox.answer();
		await running;
		await pool.close();
	});

	test('of size 0 keep nothing', async () => {
		const {provider, pool, run} = testPool({size: 0});
		await pool.warm([mine]);
		await run();
		await delay(60);
		assert.equal(provider.attempts, 1);
		await pool.close();
	});

	test('that cannot be filled back off, say why and recover', async () => {
		const {provider, pool, run} = testPool();
		provider.broken = true;
		await pool.warm([mine]);
		await delay(100);
		assert.ok(provider.attempts <= 4, `${provider.attempts} attempts in 100 ms`);
		const {failed, failing} = pool.stats();
		assert.deepEqual([failed > 0, failing?.reason], [true, 'broken']);
		await assert.rejects(run(), {code: 'sandbox_unavailable', message: 'broken'});
		provider.broken = false;
		await until(() => pool.stats().idle === 2);
		assert.equal(pool.stats().failing, null);
		await pool.close();
	});
});

describe('the queue', () => {
	test('runs no more at once than there are places, and serves tenants in turn', async () => {
		const {provider, pool, run} = testPool({size: 0, concurrency: 1});
		provider.slow = true;
		const runs = [...'aaaab'].map((tenant) => run(tenant));
		runs.push(run('c'));
		for (let served = 1; served <= 6; served++) {
			await until(() => provider.opened.length === served && provider.opened.at(-1)?.tenant !== undefined);
			assert.deepEqual([pool.stats().busy, pool.stats().waiting], [1, 6 - served]);
			provider.opened.at(-1)?.answer();
		}
		await Promise.all(runs);
		assert.equal(provider.opened.map(({tenant}) => tenant).join(''), 'aabcaa');
		assert.deepEqual(counts(pool), {idle: 0, busy: 0, waiting: 0, warmRuns: 0, coldRuns: 6});
		await pool.close();
	});

	test('lets go of who cancels, and gives the place to the next', async () => {
		const {provider, pool, run} = testPool({size: 0, concurrency: 1});
		provider.slow = true;
		const first = run();
		const cancel = new AbortController();
		const second = pool.run(permit('a'), {spec: spec(), request: python('')}, cancel.signal);
		const last = run('b');
		await until(() => pool.stats().waiting === 2);
		cancel.abort();
		await assert.rejects(second, {code: 'cancelled'});
		provider.opened[0]?.answer();
		await until(() => provider.opened.length === 2 && provider.opened[1]?.tenant !== undefined);
		provider.opened[1]?.answer();
		await Promise.all([first, last]);
		assert.equal(pool.stats().waiting, 0);
		await pool.close();
	});

	test('is not endless', async () => {
		const {provider, pool, run} = testPool({size: 0, concurrency: 1, queue: 1});
		provider.slow = true;
		const [first, second] = [run(), run()];
		await until(() => pool.stats().waiting === 1);
		await assert.rejects(run(), {code: 'sandbox_unavailable', details: {limit: 'queue', value: 1}});
		const stopped = Promise.allSettled([first, second]);
		await pool.close();
		await stopped;
	});

	test('gives a place back when a run fails to start', async () => {
		const {provider, pool, run} = testPool({size: 0, concurrency: 1});
		provider.broken = true;
		for (let i = 0; i < 3; i++) await assert.rejects(run(), {message: 'broken'});
		assert.equal(pool.stats().busy, 0);
		await pool.close();
	});
});

test('closing turns away who waits and ends every sandbox', async () => {
	const {provider, pool, run} = testPool({concurrency: 1});
	await pool.warm([mine]);
	provider.slow = true;
	const outcomes = Promise.allSettled([run(), run()]);
	await until(() => pool.stats().waiting === 1);
	await pool.close();
	const codes = (await outcomes).map((each) => (each.status === 'rejected' ? each.reason.code : each.status));
	assert.deepEqual(codes, ['runner_internal_error', 'sandbox_unavailable']);
	assert.ok(provider.opened.every(({isEnded}) => isEnded));
	await assert.rejects(run(), {code: 'sandbox_unavailable'});
});

test('a pool of real sandboxes answers warm, one tenant at a time per sandbox, through deaths and floods', async () => {
	const provider = createProcessProvider({runtime: attackerRuntime('pool')});
	const pool = createPool({provider, size: 4, perSpec: 2, concurrency: 4, queue: 100});
	await pool.warm([mine]);
	const run = (code: string, tenant: string) => pool.run(permit(tenant), {spec: spec(), request: python(code)}, signal);
	const codes = [
		'answer(os.listdir("/tmp"))',
		'open("/tmp/x", "w").write("y")\nanswer(os.listdir("/tmp"))',
		'os.abort()',
		'os.write(1, b"x" * 100000)\nanswer(1)',
	];
	const outcomes = await Promise.allSettled(
		Array.from({length: 24}, (_, index) => run(codes[index % 4] ?? '', 'abc'[index % 3] ?? '')),
	);
	const stages = outcomes
		.flatMap((each) => (each.status === 'fulfilled' ? each.value.frames : []))
		.flatMap((frame) => (frame.type === 'stage' ? [frame.stage] : []));
	assert.deepEqual(stages.toSorted(), [...Array(6).fill('["x"]'), ...Array(6).fill('[]'), ...Array(6).fill('1')].toSorted());
	assert.equal(outcomes.filter((each) => each.status === 'rejected' && each.reason.code === 'runner_internal_error').length, 6);
	const {warmRuns, coldRuns} = pool.stats();
	assert.equal(warmRuns + coldRuns, 24);
	assert.ok(warmRuns >= 2);
	await pool.close();
});
