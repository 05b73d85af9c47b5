import assert from 'node:assert/strict';
import {test} from 'node:test';
import {DuckDBInstance} from '@duckdb/node-api';
import type {ColumnProfile, TableProfile} from '#contract/dataset.ts';
import type {Json} from '#contract/json.ts';
import {inferRelationships} from './infer-relationships.ts';

const CUSTOMERS = 'SELECT i AS id, i * 7 AS code FROM range(1, 51) t(i)';
const ORDERS = 'SELECT 1000 + i AS order_id, 1 + i % 50 AS customer_id FROM range(200) t(i)';

for (const [what, tables, expected] of [
	['an id by its table’s name', {customers: CUSTOMERS, orders: ORDERS}, ['orders.customer_id → customers.id many-to-one']],
	[
		'the same name on both sides',
		{orders: ORDERS, items: 'SELECT 1000 + i % 200 AS order_id, i AS n FROM range(500) t(i)'},
		['items.order_id → orders.order_id many-to-one'],
	],
	[
		'a row for a row, once',
		{orders: ORDERS, invoices: 'SELECT 1000 + i AS order_id FROM range(200) t(i)'},
		['invoices.order_id → orders.order_id one-to-one'],
	],
	[
		'a few orphans',
		{customers: CUSTOMERS, orders: ORDERS.replace('i % 50', 'i % 52')},
		['orders.customer_id → customers.id many-to-one'],
	],
	['names that agree over values that do not', {customers: CUSTOMERS, orders: ORDERS.replace('1 + i % 50', '20 + i % 50')}, []],
	['a bare id on both sides', {customers: CUSTOMERS, products: 'SELECT i AS id FROM range(1, 51) t(i)'}, []],
	['a target that is not unique', {orders: ORDERS, notes: 'SELECT 1 + i // 2 AS customer_id FROM range(100) t(i)'}, []],
	['different types', {customers: CUSTOMERS, orders: ORDERS.replace('1 + i % 50', "'x' || (1 + i % 50)")}, []],
] as const) {
	test(`${expected.length > 0 ? 'found' : 'not taken for a relationship'}: ${what}`, async () => {
		const connection = await (await DuckDBInstance.create()).connect();
		const query = async (sql: string) => ({rows: (await connection.runAndReadAll(sql)).getRowsJson() as Json[][]});
		const profiles: TableProfile[] = [];
		for (const [name, sql] of Object.entries(tables)) {
			await connection.run(`CREATE TABLE ${name} AS ${sql}`);
			profiles.push(await profileOf(name, query));
		}
		const found = await inferRelationships({tables: profiles}, query);
		connection.closeSync();
		assert.deepEqual(
			found.map(({from, to, type}) => `${from} → ${to} ${type}`),
			expected,
		);
	});
}

test('without a candidate no query is issued', async () => {
	assert.deepEqual(await inferRelationships({tables: []}, () => assert.fail('it queried')), []);
});

async function profileOf(name: string, query: (sql: string) => Promise<{rows: Json[][]}>): Promise<TableProfile> {
	const {rows} = await query(`FROM (SUMMARIZE ${name}) SELECT column_name, column_type, min, max`);
	const columns: ColumnProfile[] = [];
	for (const [column, engineType, min, max] of rows) {
		const {rows: counts} = await query(`SELECT count(DISTINCT "${column}"), count(*) FROM ${name}`);
		const [distinct] = (counts[0] ?? []).map(Number);
		const type = engineType === 'VARCHAR' ? 'text' : 'integer';
		const bounds = type === 'integer' ? [Number(min), Number(max)] : [min, max];
		columns.push({
			...{name: String(column), type, engineType: String(engineType), description: '', nulls: 0, distinct: distinct ?? 0},
			...{min: bounds[0] ?? null, max: bounds[1] ?? null},
		});
	}
	const {rows: total} = await query(`SELECT count(*) FROM ${name}`);
	const source = {name, bytes: 0, sha256: '', format: 'csv' as const};
	return {name, file: '', sha256: '', source, rows: Number(total[0]?.[0]), description: '', columns, notices: []};
}
