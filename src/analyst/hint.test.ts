import assert from 'node:assert/strict';
import {test} from 'node:test';
import {hintOf} from './hint.ts';

test('a name that was missed is answered with the names there are', () => {
	const details = {schema_hint: {orders: ['order_id', 'total'], items: ['item_id']}};
	assert.equal(hintOf({hint: 'look', details}), 'the names there are: orders (order_id, total); items (item_id)');
});

test('a wide table is cut short, and says by how much', () => {
	const columns = Array.from({length: 42}, (_, index) => `c${index}`);
	assert.match(hintOf({details: {schema_hint: {wide: columns}}}) ?? '', /c38, c39 and 2 more\)$/);
});

test('another hint stays as it is', () => {
	assert.equal(hintOf({hint: 'look there', details: {}}), 'look there');
	assert.equal(hintOf({details: {schema_hint: {}}}), undefined);
});
