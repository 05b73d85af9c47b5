import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setImmediate as turn} from 'node:timers/promises';
import {createPlaces} from './places.ts';

const signal = new AbortController().signal;
const still = {pause() {}, resume() {}};

test('who waits for a person gives the place back, and takes one again, in turn, to go on', async () => {
	const places = createPlaces(1);
	const sleeper = await places.enter('a', signal);
	const clock = sleeper.givenBack(still);
	clock.pause();
	const other = await places.enter('b', signal);
	const order: string[] = [];
	const again = Promise.resolve(clock.resume()).then(() => order.push('sleeper'));
	await turn();
	assert.deepEqual([order, places.busy, places.waiting], [[], 1, 1]);
	other.leave();
	await again;
	assert.deepEqual([order, places.busy], [['sleeper'], 1]);
	sleeper.leave();
	assert.equal(places.busy, 0);
});

test('fewer sleep than there are places, and half as many of one tenant; the next is refused and keeps its place', async () => {
	const places = createPlaces(4);
	const asleep = async (tenant: string) => {
		const clock = (await places.enter(tenant, signal)).givenBack(still);
		clock.pause();
		return clock;
	};
	const first = await asleep('a');
	await asleep('a');
	await assert.rejects(asleep('a'), {code: 'sandbox_unavailable', message: /programs of this tenant as may, 2, wait/});
	await asleep('b');
	await assert.rejects(asleep('b'), {code: 'sandbox_unavailable', message: /programs as may, 3, wait/});
	assert.equal(places.busy, 2, 'of those that were refused');
	await first.resume();
	await asleep('c');
});

test('who ends while asleep, or is cancelled while it waits to go on, holds nothing', async () => {
	const places = createPlaces(1);
	const cancel = new AbortController();
	const sleeper = await places.enter('a', cancel.signal);
	const clock = sleeper.givenBack(still);
	clock.pause();
	const other = await places.enter('b', signal);
	const again = clock.resume();
	cancel.abort();
	await again;
	sleeper.leave();
	assert.deepEqual([places.busy, places.waiting], [1, 0]);
	other.leave();
	const next = await places.enter('a', signal);
	next.givenBack(still).pause();
	next.leave();
	assert.equal(places.busy, 0);
});
