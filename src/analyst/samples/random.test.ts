import assert from 'node:assert/strict';
import {test} from 'node:test';
import {apportion, createRandom, xoshiro128} from './random.ts';

test('the generator is xoshiro128**: its published sequence comes out', () => {
	const next = xoshiro128([1, 2, 3, 4]);
	const words = Array.from({length: 10}, () => next());
	const published = [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804];
	assert.deepEqual(words, published);
});

test('a label names a stream: the same again, another for another label', () => {
	const draw = (label: string) => {
		const random = createRandom(label);
		return Array.from({length: 5}, () => random.below(1_000_000));
	};
	assert.deepEqual(draw('a'), draw('a'));
	assert.notDeepEqual(draw('a'), draw('b'));
});

test('a range is drawn evenly and never left', () => {
	const random = createRandom('range');
	const counts = new Map<number, number>();
	for (let draw = 0; draw < 60_000; draw += 1) {
		const value = random.between(3, 8);
		counts.set(value, (counts.get(value) ?? 0) + 1);
	}
	assert.deepEqual([...counts.keys()].sort(), [3, 4, 5, 6, 7, 8]);
	for (const count of counts.values()) assert.ok(Math.abs(count - 10_000) < 400, `${count} is far from 10,000`);
});

test('a deck holds its weights exactly, every time it is dealt', () => {
	const draw = createRandom('deck').deck([
		['common', 7],
		['rare', 3],
	]);
	for (let deal = 0; deal < 3; deal += 1) {
		const cards = Array.from({length: 10}, draw).sort();
		assert.deepEqual(cards, [...Array(7).fill('common'), ...Array(3).fill('rare')]);
	}
});

test('a shuffle keeps all items and leaves its argument alone', () => {
	const items = [1, 2, 3, 4, 5, 6, 7, 8];
	const shuffled = createRandom('shuffle').shuffle(items);
	assert.notDeepEqual(shuffled, items);
	assert.deepEqual(
		shuffled.toSorted((a, b) => a - b),
		items,
	);
});

test('an exponential has the mean that was asked for', () => {
	const random = createRandom('exponential');
	const draws = Array.from({length: 50_000}, () => random.exponential(1_000));
	const mean = draws.reduce((sum, draw) => sum + draw, 0) / draws.length;
	assert.ok(Math.abs(mean - 1_000) < 20, `the mean is ${mean}`);
});

test('a total is split by weight without losing or adding any', () => {
	assert.deepEqual(apportion(10, [1, 1, 1]), [3, 3, 4]);
	assert.deepEqual(apportion(7, [0, 2, 0, 5]), [0, 2, 0, 5]);
});
