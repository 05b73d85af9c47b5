import assert from 'node:assert/strict';
import {test} from 'node:test';
import {renderTable} from './table.ts';

const io = {columns: Number.POSITIVE_INFINITY, colour: false};

test('computed doubles are shown as precisely as they are read, written ones as they are', () => {
	assert.equal(
		renderTable(
			['percent', 'ratio', 'price'],
			[
				[95.24180967238689, 0.123456789, 4.81],
				[7.1, 0.0000012345, 1234.5],
			],
			io,
		),
		['percent       ratio   price', '  95.24      0.1235    4.81', '   7.10  0.00000123  1234.5'].join('\n'),
	);
});

test('a time is shown with a space', () => {
	assert.equal(renderTable(['at'], [['2026-02-02T23:25:36']], io), 'at\n2026-02-02 23:25:36');
});
