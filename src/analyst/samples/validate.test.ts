import assert from 'node:assert/strict';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import type {Row, Sample, SampleColumn, Tables, Value} from './sample.ts';
import {SAMPLES, writeSamples} from './samples.ts';
import {rulesFor, validateSamples} from './validate.ts';

const folder = await mkdtemp(join(tmpdir(), 'writ-samples-'));
before(() => writeSamples(folder));
after(() => rm(folder, {recursive: true}));

test('every row of every sample keeps every rule', async () => {
	const report = await validateSamples(folder);
	assert.deepEqual(
		report.rules.filter((rule) => rule.violations > 0 || rule.examined === 0),
		[],
	);
	assert.equal(report.ok, true);
	assert.deepEqual(report.examined, {
		'ecommerce.orders': 4_018,
		'ecommerce.order_items': 9_008,
		'ecommerce.inventory': 500,
		'support.tickets': 6_417,
		'sensors.sensors': 49_950,
	});
});

test('a file whose header or width is off, or that has no rows, does not pass', async () => {
	const path = join(folder, 'support', 'tickets.csv');
	const whole = await readFile(path, 'utf8');
	for (const [rule, text] of [
		['tickets: header and width', whole.replace('ticket_id,', 'ticket,')],
		['tickets: header and width', `${whole}1,2\r\n`],
		['tickets.status', whole.slice(0, whole.indexOf('\r\n') + 2)],
	] as const) {
		await writeFile(path, text);
		const report = await validateSamples(folder);
		await writeFile(path, whole);
		assert.equal(report.ok, false);
		assert.ok(report.rules.some((found) => found.rule === rule && (found.violations > 0 || found.examined === 0)));
	}
});

test('validating no sample is not passing', async () => {
	assert.deepEqual(await validateSamples(folder, []), {ok: false, examined: {}, rules: []});
});

type Plant = (tables: Map<string, Row[]>) => void;

for (const sample of SAMPLES) {
	test(`each rule of ${sample.id} fires on a planted violation, and on no rows at all`, () => {
		const clean = tablesOf(sample);
		const rules = rulesFor(sample);
		assert.ok(rules.length > 20);
		const used = new Set<string>();
		for (const rule of rules) {
			assert.deepEqual(rule.check(clean).violations, [], rule.name);
			const {examined, violations} = rule.check(new Map());
			assert.ok(examined === 0 || violations.length > 0, `${rule.name} passes without rows`);
			const [name, plant] = plantFor(rule.name, sample);
			used.add(name);
			const planted = new Map([...clean].map(([table, rows]) => [table, [...rows]]));
			plant(planted);
			assert.ok(rule.check(planted).violations.length > 0, `${rule.name} does not fire`);
		}
		assert.deepEqual(
			Object.keys(PLANTS[sample.id] ?? {}).filter((name) => !used.has(name)),
			[],
			'plants for rules that do not exist',
		);
	});
}

for (const [kind, column, values] of [
	['an integer', {type: 'integer', min: 1, max: 5}, [0, 6, 1.5, 'one', null]],
	['a boolean', {type: 'boolean'}, ['true', 1, null]],
	['one of few', {type: 'text', values: ['a', 'b']}, ['c', 1, null]],
	['a pattern', {type: 'text', pattern: /^x\d$/}, ['x', 'xx']],
	['a date', {type: 'date', min: '2025-01-01'}, ['2025-02-30', '2024-12-31', '2025-1-1', null]],
	['a timestamp', {type: 'timestamp'}, ['2025-01-01 24:00:01', '2025-01-01', null]],
] as const) {
	test(`what is not ${kind} is a violation`, () => {
		const sample = sampleOf({name: 'c', description: '', ...column} as SampleColumn);
		const rule = rulesFor(sample).find(({name}) => name === 't.c');
		for (const value of values) {
			const finding = rule?.check(new Map([['t', [{c: value as Value}]]]));
			assert.equal(finding?.violations.length, 1, `${value} passes`);
		}
	});
}

function sampleOf(column: SampleColumn): Sample {
	const tables = [{name: 't', description: '', rows: 1, key: ['c'], columns: [column]}];
	const texts = {id: 't', name: '', description: '', domain: '', now: '', tags: [], prompts: [], relationships: []};
	return {...texts, tables, generate: () => new Map()};
}

function tablesOf(sample: Sample): Tables {
	const rows = sample.generate();
	return new Map(
		sample.tables.map(({name, columns}) => {
			const parse = (cell: Value, at: number) => (columns[at]?.type === 'decimal' && cell !== null ? Number(cell) : cell);
			return [
				name,
				(rows.get(name) ?? []).map((row) => Object.fromEntries(row.map((cell, at) => [columns[at]?.name, parse(cell, at)]))),
			];
		}),
	);
}

/** A violation for rules that follow from the columns, or the one written below for this rule. */
function plantFor(rule: string, sample: Sample): readonly [name: string, Plant] {
	const table = rule.split(/[.:]/)[0] as string;
	const column = sample.tables.find(({name}) => name === table)?.columns.find(({name}) => rule === `${table}.${name}`);
	if (column) return [rule, change(table, 0, {[column.name]: column.nullable ? 'other' : null})];
	if (/: exactly \d+ rows$/.test(rule)) return [rule, (tables) => tables.get(table)?.pop()];
	if (rule.includes(': unique ')) return [rule, (tables) => tables.get(table)?.push(tables.get(table)?.[0] as Row)];
	const share = /: share of (\w+) (.+) within/.exec(rule);
	const columnOfShare = sample.tables.flatMap(({columns}) => columns).find(({name}) => name === share?.[1]);
	if (columnOfShare) return [rule, changeAll(table, () => ({[columnOfShare.name]: 'other'}))];
	const name = Object.keys(PLANTS[sample.id] ?? {}).find((prefix) => rule.startsWith(prefix));
	assert.ok(name, `no violation is planted for: ${rule}`);
	return [name, PLANTS[sample.id]?.[name] as Plant];
}

function change(table: string, at: number, cells: Row): Plant {
	return (tables) => {
		const rows = tables.get(table) as Row[];
		rows[at] = {...rows[at], ...cells};
	};
}

function changeAll(table: string, cells: (row: Row, index: number) => Row): Plant {
	return (tables) => {
		const rows = tables.get(table) as Row[];
		tables.set(
			table,
			rows.map((row, index) => ({...row, ...cells(row, index)})),
		);
	};
}

/** The first row that satisfies `test` is changed. */
function changeFirst(table: string, test: (row: Row) => boolean, cells: (row: Row) => Row): Plant {
	return (tables) => {
		const rows = tables.get(table) as Row[];
		const at = rows.findIndex(test);
		rows[at] = {...rows[at], ...cells(rows[at] as Row)};
	};
}

function keep(table: string, test: (row: Row) => boolean): Plant {
	return (tables) => tables.set(table, (tables.get(table) as Row[]).filter(test));
}

const isCritical = (row: Row) => row.priority === 'Critical';

const PLANTS: Readonly<Record<string, Readonly<Record<string, Plant>>>> = {
	ecommerce: {
		'order_items: order_id is an order': change('order_items', 7, {order_id: 9_999}),
		'order_items: product_id is a product': change('order_items', 7, {category: 'Garden'}),
		'order_items: price lies in': changeFirst(
			'order_items',
			(row) => row.category === 'Books',
			() => ({price: 50.01}),
		),
		'order_items: a product has one price': changeFirst(
			'order_items',
			() => true,
			({price}) => ({price: Number(price) + 0.04}),
		),
		'orders: total is the sum': changeFirst(
			'orders',
			() => true,
			({total}) => ({total: Number(total) + 0.01}),
		),
		'orders: returned exactly when': change('orders', 3, {status: 'completed', returned: true}),
		'orders: numbers and dates': change('orders', 9, {order_date: '2026-02-02'}),
		'inventory: products are in blocks': change('inventory', 0, {name: 'Garden Hose'}),
		'inventory: share sold out': changeAll('inventory', () => ({stock: 7})),
		'inventory: share of 1 to 19': changeFirst(
			'inventory',
			(row) => row.stock === 0,
			() => ({stock: 1}),
		),
		'order_items: categories out of order': changeAll('order_items', ({category}) => ({discount: category === 'Books' ? 5 : 0})),
		'order_items: return rate falls': changeAll('orders', (_, index) => ({returned: index % 9 === 0})),
		'order_items: from the 28th on': changeAll('order_items', (_, index) => ({discount: index % 2})),
		'orders: orders per weekend day': changeAll('orders', (_, index) => ({order_date: `2025-09-${10 + (index % 14)}`})),
		'orders: orders per day of November': keep('orders', (row) => !/-1[12]-/.test(String(row.order_date))),
	},
	support: {
		'tickets: numbers and creation times': change('tickets', 9, {created_at: '2026-02-02 23:00:00'}),
		'tickets: open exactly while': changeFirst(
			'tickets',
			(row) => row.status === 'Open',
			() => ({status: 'Closed'}),
		),
		'tickets: resolution time is': changeFirst(
			'tickets',
			(row) => row.resolved_at !== null,
			(row) => ({resolution_time_hours: Number(row.resolution_time_hours) + 0.01}),
		),
		'tickets: SLA met exactly': changeFirst(
			'tickets',
			(row) => row.status === 'Open',
			() => ({sla_met: true}),
		),
		'tickets: only resolved tickets': changeFirst(
			'tickets',
			(row) => row.status === 'Closed',
			() => ({csat_score: 3}),
		),
		'tickets: share of Billing from': changeAll('tickets', (_, index) => ({category: index % 4 === 0 ? 'Billing' : 'Account'})),
		'tickets: SLA compliance at': changeAll('tickets', (_, index) => ({sla_met: index % 2 === 0})),
		'tickets: share of resolved tickets': changeAll('tickets', () => ({csat_score: null})),
		'tickets: tickets on a Monday': changeAll('tickets', () => ({created_at: '2026-01-06 09:00:00'})),
		'tickets: share opened': changeAll('tickets', () => ({created_at: '2026-01-01 03:00:00'})),
		'tickets: open critical': keep('tickets', (row) => !isCritical(row)),
	},
	sensors: {
		'sensors: a location has one zone': changeFirst(
			'sensors',
			(row) => row.zone === 'East',
			() => ({zone: 'West'}),
		),
		'sensors: a sensor stays': changeFirst(
			'sensors',
			(row) => row.zone === 'East',
			() => ({location: 'Warehouse-A'}),
		),
		'sensors: readings are in order': change('sensors', 5, {timestamp: '2026-02-02 23:59:59'}),
		'sensors: measures are there': changeFirst(
			'sensors',
			(row) => row.status === 'offline',
			() => ({pressure_hpa: 1_000}),
		),
		'sensors: vibration is there': changeFirst(
			'sensors',
			(row) => row.location === 'Warehouse-A',
			() => ({vibration_mm_s: 1}),
		),
		'sensors: anomalies have a type': changeFirst(
			'sensors',
			(row) => row.status === 'offline',
			() => ({anomaly_flag: true}),
		),
		'sensors: dangerous vibration': changeFirst(
			'sensors',
			(row) => row.vibration_mm_s !== null,
			() => ({vibration_mm_s: 15.01}),
		),
		'sensors: a battery is always': changeFirst(
			'sensors',
			(row) => row.battery_pct !== null,
			() => ({battery_pct: 1}),
		),
		'sensors: fewest readings of a sensor': change('sensors', 0, {sensor_id: 'SEN-999'}),
		'sensors: sensors within': change('sensors', 0, {sensor_id: 'SEN-999'}),
		'sensors: fewest readings at': change('sensors', 0, {location: 'Roof'}),
		'sensors: days from': change('sensors', 0, {timestamp: '2026-01-10 00:00:00'}),
		'sensors: days with': changeAll('sensors', () => ({timestamp: '2026-01-10 00:00:00'})),
		'sensors: share of anomalies': changeAll('sensors', () => ({anomaly_flag: false})),
		'sensors: sensors with a battery': changeAll('sensors', () => ({battery_pct: 50})),
		'sensors: sensors online with': changeAll('sensors', () => ({battery_pct: 50})),
	},
};
