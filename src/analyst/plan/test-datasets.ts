/** Datasets with the schemas of the samples, and small tables to run plans on; for tests only. */
import {DuckDBInstance} from '@duckdb/node-api';
import type {ColumnProfile, Dataset, Relationship, TableProfile} from '#contract/dataset.ts';
import type {Json} from '#contract/json.ts';
import type {ColumnType} from '#contract/table.ts';

type ColumnSpec = readonly [name: string, type: ColumnType, distinct?: number];

const ENGINE_TYPES: Readonly<Partial<Record<ColumnType, string>>> = {
	integer: 'BIGINT',
	decimal: 'DECIMAL(18,2)',
	text: 'VARCHAR',
	timestamptz: 'TIMESTAMPTZ',
	json: 'JSON',
};

export function engineType(type: ColumnType): string {
	return ENGINE_TYPES[type] ?? type.toUpperCase();
}

export function tableOf(name: string, rows: number, columns: readonly ColumnSpec[]): TableProfile {
	const profiles = columns.map(
		([column, type, distinct = 2]): ColumnProfile => ({
			...{name: column, type, engineType: engineType(type), description: '', nulls: 0, distinct, min: null, max: null},
		}),
	);
	const source = {name: `${name}.csv`, bytes: 1, sha256: '0'.repeat(64), format: 'csv'} as const;
	return {name, file: `${name}.parquet`, sha256: '0'.repeat(64), source, rows, description: '', columns: profiles, notices: []};
}

export function datasetOf(
	id: string,
	tables: readonly TableProfile[],
	relationships: readonly Relationship[],
	now: string | null,
): Dataset {
	return {
		...{id, name: id, description: '', hash: '0'.repeat(64), tables: [...tables], relationships: [...relationships], now},
		...{prompts: [], tags: [], createdAt: '2026-02-02T18:00:00Z'},
	};
}

export const ecommerce = datasetOf(
	'ecommerce',
	[
		tableOf('inventory', 500, [
			['product_id', 'integer', 500],
			['name', 'text'],
			['category', 'text'],
			['stock', 'integer'],
		]),
		tableOf('order_items', 9008, [
			['item_id', 'integer', 9008],
			['order_id', 'integer'],
			['product_id', 'integer'],
			['category', 'text'],
			['quantity', 'integer'],
			['price', 'double'],
			['discount', 'integer'],
		]),
		tableOf('orders', 4018, [
			['order_id', 'integer', 4018],
			['customer_id', 'integer'],
			['order_date', 'date'],
			['total', 'double'],
			['status', 'text'],
			['returned', 'boolean'],
		]),
	],
	[
		{from: 'order_items.order_id', to: 'orders.order_id', type: 'many-to-one'},
		{from: 'order_items.product_id', to: 'inventory.product_id', type: 'many-to-one'},
	],
	'2026-02-02T17:00:00',
);

export const support = datasetOf(
	'support',
	[
		tableOf('tickets', 6417, [
			['ticket_id', 'integer', 6417],
			['created_at', 'timestamp'],
			['resolved_at', 'timestamp'],
			['category', 'text'],
			['priority', 'text'],
			['csat_score', 'integer'],
			['sla_met', 'boolean'],
			['resolution_time_hours', 'double'],
			['status', 'text'],
			['agent_id', 'integer'],
			['channel', 'text'],
		]),
	],
	[],
	'2026-02-02T17:00:00',
);

export const sensors = datasetOf(
	'sensors',
	[
		tableOf('sensors', 49_950, [
			['sensor_id', 'text'],
			['timestamp', 'timestamp'],
			['location', 'text'],
			['zone', 'text'],
			['temperature_c', 'double'],
			['humidity_pct', 'double'],
			['pressure_hpa', 'double'],
			['vibration_mm_s', 'double'],
			['anomaly_flag', 'boolean'],
			['anomaly_type', 'text'],
			['battery_pct', 'integer'],
			['status', 'text'],
		]),
	],
	[],
	'2026-02-02T17:00:00',
);

export type Engine = {
	rows(sql: string): Promise<readonly (readonly Json[])[]>;
	columns(sql: string): Promise<readonly string[]>;
	statements(sql: string): Promise<number>;
	run(sql: string): Promise<void>;
	close(): void;
};

/** A real engine with the dataset's tables, empty. */
export async function openEngine(dataset: Dataset): Promise<Engine> {
	const instance = await DuckDBInstance.create(':memory:', {threads: '1'});
	const connection = await instance.connect();
	const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;
	for (const {name, columns} of dataset.tables) {
		const list = columns.map((column) => `${quote(column.name)} ${column.engineType}`).join(', ');
		await connection.run(`CREATE TABLE ${quote(name)} (${list})`);
	}
	return {
		rows: async (sql) => (await connection.runAndReadAll(sql)).getRowsJson() as readonly (readonly Json[])[],
		columns: async (sql) => (await connection.runAndReadAll(sql)).columnNames(),
		statements: async (sql) => (await connection.extractStatements(sql)).count,
		run: async (sql) => void (await connection.run(sql)),
		close: () => {
			connection.closeSync();
			instance.closeSync();
		},
	};
}

/** A small shop whose rows tests know. */
export const shop = datasetOf(
	'shop',
	[
		tableOf('orders', 5, [
			['id', 'integer', 5],
			['day', 'date'],
			['at', 'timestamp'],
			['city', 'text'],
			['total', 'double'],
			['paid', 'boolean'],
			['note', 'text'],
		]),
		tableOf('items', 4, [
			['order_id', 'integer'],
			['sku', 'text'],
			['quantity', 'integer'],
		]),
	],
	[{from: 'items.order_id', to: 'orders.id', type: 'many-to-one'}],
	'2026-03-10T12:00:00',
);

export async function openShop(): Promise<Engine> {
	const engine = await openEngine(shop);
	await engine.run(`INSERT INTO orders VALUES
		(1, '2026-03-10', '2026-03-10 11:00', 'Bern', 10, true, '100% cotton'),
		(2, '2026-03-03', '2026-03-03 13:00', 'Bern', 30, false, 'a_b'),
		(3, '2026-02-28', '2026-02-28 09:00', 'Rome', 20, true, 'back\\slash'),
		(4, '2026-01-31', '2026-01-31 23:59', 'rome', 40, NULL, 'it''s'),
		(5, '2025-12-31', '2025-12-31 00:00', NULL, 0, false, NULL)`);
	await engine.run(`INSERT INTO items VALUES (1, 'x', 2), (1, 'y', 1), (2, 'x', 5), (9, 'z', 1)`);
	return engine;
}
