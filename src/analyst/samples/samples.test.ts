import assert from 'node:assert/strict';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, test} from 'node:test';
import {DuckDBInstance} from '@duckdb/node-api';
import {SAMPLES, writeSamples} from './samples.ts';

const folder = await mkdtemp(join(tmpdir(), 'writ-samples-'));
after(() => rm(folder, {recursive: true}));
const written = await writeSamples(folder);

/** Changing a generator changes what every document, answer and benchmark says: do it knowingly. */
const GOLDEN = {
	'orders.csv': 'a34d5ac60589a5063f4f9b6f6baceb62e6a6786ca314d256249a60fc99e416be',
	'order_items.csv': '95c123ed0be69b96219fe0cfbe7d24d26a7bf9cc6baae13293df974c1fbbc38b',
	'inventory.csv': '1a45592de3bc884a58d0d240783603965bb6f4bf12db0aeda2b544a5829598ac',
	'tickets.csv': '057a6b61adf438d8035fcf26d9ae0550133e13c24f47d210adf738c889debff7',
	'sensors.csv': '781b18c32375c9dfb6a37512600a77a71c1e8b5b41ba280abecc3c56463989d5',
};

test('the files are the same, byte for byte, on every machine and every day', async () => {
	const hashes = Object.assign({}, ...written.map((sample) => sample.hashes));
	assert.deepEqual(hashes, GOLDEN);
	assert.deepEqual(await writeSamples(folder), written);
});

test('what a sample declares of itself is complete', () => {
	for (const {tables, prompts, relationships, now, generate} of SAMPLES) {
		const columns = tables.flatMap((table) => table.columns.map((column) => `${table.name}.${column.name}`));
		assert.equal(prompts.length, 6);
		assert.match(now, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
		for (const {from, to} of relationships) assert.ok(columns.includes(from) && columns.includes(to));
		assert.deepEqual(
			[...generate().keys()],
			tables.map(({name}) => name),
		);
	}
});

/** One query per suggested prompt, in the order of the prompts; `$now` is the dataset's own. */
const ANSWERS: Readonly<Record<string, readonly string[]>> = {
	ecommerce: [
		`SELECT product_id, sum(price * quantity * (1 - discount / 100)) AS revenue FROM order_items GROUP BY ALL ORDER BY 2 DESC LIMIT 10`,
		`SELECT category, count(DISTINCT order_id) FILTER (returned) / count(DISTINCT order_id) FROM order_items JOIN orders USING (order_id) GROUP BY ALL`,
		`SELECT category, avg(discount) FROM order_items GROUP BY ALL`,
		`SELECT * FROM inventory WHERE category = 'Electronics' AND stock < 20`,
		`SELECT customer_id, sum(total) FROM orders GROUP BY ALL ORDER BY 2 DESC LIMIT 20`,
		`SELECT * FROM orders WHERE returned AND total > 100 AND order_date > $now - INTERVAL 1 MONTH`,
	],
	support: [
		`SELECT priority, avg(sla_met::INT) FROM tickets WHERE status <> 'Open' GROUP BY ALL`,
		`SELECT category, avg(csat_score) FROM tickets GROUP BY ALL`,
		`SELECT * FROM tickets WHERE priority = 'Critical' AND status = 'Open' ORDER BY created_at`,
		`SELECT category, avg(resolution_time_hours) FROM tickets GROUP BY ALL`,
		`SELECT * FROM tickets WHERE NOT sla_met AND created_at > $now - INTERVAL 7 DAY`,
		`SELECT * FROM tickets WHERE status = 'Resolved' AND csat_score <= 2 AND created_at > $now - INTERVAL 1 MONTH`,
	],
	sensors: [
		`SELECT location, count(*) FROM sensors WHERE anomaly_flag AND timestamp > $now - INTERVAL 24 HOUR GROUP BY ALL`,
		`SELECT zone, avg(temperature_c), avg(humidity_pct) FROM sensors GROUP BY ALL`,
		`SELECT * FROM sensors WHERE anomaly_type = 'high_temp' AND timestamp > $now - INTERVAL 7 DAY`,
		`SELECT DISTINCT sensor_id FROM sensors WHERE battery_pct < 20`,
		`SELECT status, count(*) FROM sensors GROUP BY ALL`,
		`SELECT location, vibration_mm_s FROM sensors WHERE vibration_mm_s > 15 AND timestamp > $now - INTERVAL 6 HOUR`,
	],
};

/** Rows per prompt; all of them are more than none. */
const ROWS = {ecommerce: [10, 5, 5, 57, 20, 46], support: [4, 4, 60, 4, 203, 233], sensors: [10, 4, 141, 12, 3, 8]};

for (const sample of SAMPLES) {
	test(`each suggested prompt of ${sample.id} has an answer`, async () => {
		const connection = await (await DuckDBInstance.create()).connect();
		for (const {name} of sample.tables)
			await connection.run(`CREATE TABLE ${name} AS FROM read_csv('${join(folder, sample.id, name)}.csv')`);
		const counts: number[] = [];
		for (const sql of ANSWERS[sample.id] ?? []) {
			const rows = await connection.runAndReadAll(sql.replace('$now', `TIMESTAMP '${sample.now}'`));
			counts.push(rows.currentRowCount);
		}
		connection.closeSync();
		assert.deepEqual(counts, ROWS[sample.id as keyof typeof ROWS]);
	});
}
