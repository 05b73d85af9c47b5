import assert from 'node:assert/strict';
import {test} from 'node:test';
import {createInstants} from './instants.ts';

test('times are written as Date writes them, in whatever order they come', () => {
	const instant = createInstants();
	const edges = [
		0, 1, 999, 1_000, -1, -1_000, 1_790_000_000_123, 1_790_000_000_999, 1_790_000_001_000, 253_402_300_800_000, 8.64e15, -8.64e15,
	];
	const drawn = Array.from({length: 10_000}, (_, n) => Math.floor(1_790_000_000_000 + Math.sin(n) * 10 ** (n % 13)));
	for (const ms of [...edges, ...edges.toReversed(), ...drawn]) assert.equal(instant(ms), new Date(ms).toISOString());
});

test('what is no time is refused', () => {
	const instant = createInstants();
	for (const ms of [Number.NaN, 8.64e15 + 1, Number.POSITIVE_INFINITY]) assert.throws(() => instant(ms), RangeError);
});
