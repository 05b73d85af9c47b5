import {CATEGORIES} from './ecommerce.ts';
import type {Finding, Row, Rule, Tables, Value} from './sample.ts';
import {DANGEROUS_VIBRATION, LOCATIONS} from './sensors.ts';
import {SLA_HOURS} from './support.ts';

// --- how rules are built -----------------------------------------------------------------------------------------------

/** A rule about each row of one table, with what it needs from the whole dataset looked up once. */
function each(
	name: string,
	table: string,
	prepare: (tables: Tables) => (row: Row, previous: Row | undefined) => string | null,
): Rule {
	return {
		name: `${table}: ${name}`,
		check(tables) {
			const rows = tables.get(table) ?? [];
			const judge = prepare(tables);
			const violations = rows.flatMap((row, index) => {
				const wrong = judge(row, rows[index - 1]);
				return wrong === null ? [] : [`row ${index + 1}: ${wrong}`];
			});
			return {examined: rows.length, violations};
		},
	};
}

/** A number computed from one table that must lie in a range. A number over nothing is NaN, and that is a violation. */
function within(name: string, table: string, range: readonly [number, number], compute: (rows: readonly Row[]) => number): Rule {
	return {
		name: `${table}: ${name} within ${range.join('..')}`,
		check(tables): Finding {
			const rows = tables.get(table) ?? [];
			const value = compute(rows);
			const fits = value >= range[0] && value <= range[1];
			return {examined: rows.length, violations: fits ? [] : [`it is ${Math.round(value * 1000) / 1000}`]};
		},
	};
}

/** Percentages of the values of a column, each within `slack` points of what was intended. */
function shares(
	table: string,
	column: string,
	intended: Readonly<Record<string, number>>,
	options: {slack: number; where?: Test},
): Rule[] {
	const {slack, where = () => true} = options;
	return Object.entries(intended).map(([value, percent]) =>
		within(`share of ${column} ${value}`, table, [percent - slack, percent + slack], (rows) =>
			percentOf(rows.filter(where), (row) => String(row[column]) === value),
		),
	);
}

type Test = (row: Row) => boolean;

function percentOf(rows: readonly Row[], test: Test): number {
	return (100 * rows.filter(test).length) / rows.length;
}

const has =
	(column: string, ...values: readonly Value[]): Test =>
	(row) =>
		values.includes(row[column] ?? null);
const hundredths = (value: Value | undefined): number => Math.round(Number(value) * 100);
const toMs = (value: Value | undefined): number => Date.parse(`${String(value).replace(' ', 'T')}Z`);

/** Zero when the numbers strictly fall in the order given, else how many steps do not. */
function stepsUp(numbers: readonly number[]): number {
	return numbers.slice(1).filter((number, index) => !(number < (numbers[index] as number))).length;
}

function sumBy<T>(
	items: Iterable<T>,
	key: (item: T) => Value | undefined,
	amount: (item: T) => number,
): Map<Value | undefined, number> {
	const sums = new Map<Value | undefined, number>();
	for (const item of items) sums.set(key(item), (sums.get(key(item)) ?? 0) + amount(item));
	return sums;
}

// --- ecommerce ---------------------------------------------------------------------------------------------------------

function ecommerce(): Rule[] {
	const products = (tables: Tables) => new Map((tables.get('inventory') ?? []).map((row) => [row.product_id, row]));
	return [
		each('order_id is an order', 'order_items', (tables) => {
			const ids = new Set((tables.get('orders') ?? []).map((row) => row.order_id));
			return (row) => (ids.has(row.order_id) ? null : `there is no order ${row.order_id}`);
		}),
		each('product_id is a product of the same category', 'order_items', (tables) => {
			const known = products(tables);
			return (row) => (known.get(row.product_id)?.category === row.category ? null : `product ${row.product_id}`);
		}),
		each('price lies in the range of its category', 'order_items', () => {
			const prices = new Map(CATEGORIES.map(({name, price}) => [name, price]));
			return (row) => {
				const [low, high] = prices.get(String(row.category)) ?? [0, 0];
				return Number(row.price) >= low && Number(row.price) <= high ? null : `${row.price} in ${row.category}`;
			};
		}),
		each('a product has one price', 'order_items', () => {
			const prices = new Map<Value | undefined, Value | undefined>();
			return ({product_id: id, price}) => {
				if (!prices.has(id)) prices.set(id, price);
				return prices.get(id) === price ? null : `product ${id} for ${price} and ${prices.get(id)}`;
			};
		}),
		each('total is the sum of its items, of which there is at least one', 'orders', (tables) => {
			const sums = sumBy(tables.get('order_items') ?? [], (item) => item.order_id, lineTotal);
			return (row) => {
				const sum = sums.get(row.order_id);
				if (sum === undefined) return 'it has no items';
				return Math.round(sum / 100) === hundredths(row.total) && sum % 100 !== 50 ? null : `${row.total} is not ${sum / 10_000}`;
			};
		}),
		each('returned exactly when status is returned', 'orders', () => (row) => {
			return row.returned === (row.status === 'returned') ? null : `${row.status} and ${row.returned}`;
		}),
		each('numbers and dates rise together', 'orders', () => (row, previous) => {
			return previous === undefined || isAfter(row, previous, 'order_id', 'order_date') ? null : `order ${row.order_id}`;
		}),
		each('products are in blocks by category and named after it', 'inventory', () => {
			const blocks = CATEGORIES.flatMap(({name, share, bases}) => Array.from({length: share * 5}, () => ({name, bases})));
			return (row) => {
				const block = blocks[Number(row.product_id) - 201];
				const named = block?.bases.some((base) => String(row.name).startsWith(base));
				return block?.name === row.category && named ? null : `${row.name} in ${row.category}`;
			};
		}),
		...shares('orders', 'status', {completed: 85, returned: 12, cancelled: 3}, {slack: 0.5}),
		...shares('order_items', 'quantity', {1: 70, 2: 20, 3: 10}, {slack: 0.5}),
		...shares('order_items', 'category', Object.fromEntries(CATEGORIES.map(({name, share}) => [name, share])), {slack: 1}),
		within('share sold out', 'inventory', [10, 10], (rows) => percentOf(rows, has('stock', 0))),
		within('share of 1 to 19 in stock', 'inventory', [30, 30], (rows) => percentOf(rows, (row) => inStock(row, 1, 19))),
		returnRatesFall(),
		within('categories out of order by share of discounted lines', 'order_items', [0, 0], (rows) =>
			stepsUp(
				CATEGORIES_FALLING.map((name) =>
					percentOf(
						rows.filter((row) => row.category === name),
						(row) => row.discount !== 0,
					),
				),
			),
		),
		monthEndDiscounts(),
		within('orders per weekend day over orders per weekday', 'orders', [1.25, 1.35], (rows) => {
			return perDay(rows, isWeekend) / perDay(rows, (row) => !isWeekend(row));
		}),
		within('orders per day of November and December over other months', 'orders', [1.3, 1.7], (rows) => {
			const holidays: Test = (row) => /-1[12]-/.test(String(row.order_date));
			return perDay(rows, holidays) / perDay(rows, (row) => !holidays(row));
		}),
	];
}

/** Categories from the most discounted, and most returned, to the least. */
const CATEGORIES_FALLING = ['Clothing', 'Electronics', 'Toys', 'Home', 'Books'];

function lineTotal(item: Row): number {
	return hundredths(item.price) * Number(item.quantity) * (100 - Number(item.discount));
}

function inStock(row: Row, low: number, high: number): boolean {
	return Number(row.stock) >= low && Number(row.stock) <= high;
}

function isAfter(row: Row, previous: Row, id: string, at: string): boolean {
	return Number(row[id]) === Number(previous[id]) + 1 && String(row[at]) >= String(previous[at]);
}

function isWeekend(row: Row): boolean {
	return new Date(toMs(`${row.order_date}T00:00:00`)).getUTCDay() % 6 === 0;
}

function perDay(rows: readonly Row[], test: Test): number {
	const chosen = rows.filter(test);
	return chosen.length / new Set(chosen.map((row) => row.order_date)).size;
}

/** Of the orders that hold a category, the share that came back. */
function returnRatesFall(): Rule {
	return {
		name: `order_items: return rate falls from ${CATEGORIES_FALLING.join(' to ')}`,
		check(tables) {
			const returned = new Map((tables.get('orders') ?? []).map((row) => [row.order_id, row.returned === true]));
			const items = tables.get('order_items') ?? [];
			const rates = CATEGORIES_FALLING.map((category) => {
				const orders = [...new Set(items.filter((row) => row.category === category).map((row) => row.order_id))];
				return orders.filter((id) => returned.get(id)).length / orders.length;
			});
			return {examined: items.length, violations: stepsUp(rates) === 0 ? [] : [`rates are ${rates.join(', ')}`]};
		},
	};
}

function monthEndDiscounts(): Rule {
	return {
		name: 'order_items: from the 28th on, 15 to 25 points more lines are discounted',
		check(tables) {
			const ends = (tables.get('orders') ?? []).filter((row) => Number(String(row.order_date).slice(8)) >= 28);
			const ids = new Set(ends.map((row) => row.order_id));
			const items = tables.get('order_items') ?? [];
			const isDiscounted: Test = (row) => row.discount !== 0;
			const [end, rest] = [true, false].map((at) => items.filter((row) => ids.has(row.order_id) === at)) as [Row[], Row[]];
			const points = percentOf(end, isDiscounted) - percentOf(rest, isDiscounted);
			return {examined: items.length, violations: points >= 15 && points <= 25 ? [] : [`it is ${points} points`]};
		},
	};
}

// --- support -----------------------------------------------------------------------------------------------------------

function support(): Rule[] {
	const isOver = has('status', 'Resolved', 'Closed');
	const ofPriority =
		(priority: string): Test =>
		(row) =>
			row.priority === priority && isOver(row);
	const monthEnd: Test = (row) => Number(String(row.created_at).slice(8, 10)) >= 28;
	return [
		each('numbers and creation times rise together', 'tickets', () => (row, previous) => {
			return previous === undefined || isAfter(row, previous, 'ticket_id', 'created_at') ? null : `ticket ${row.ticket_id}`;
		}),
		each('open exactly while there is no resolution', 'tickets', () => (row) => {
			const facts = [row.status === 'Open', row.resolved_at === null, row.resolution_time_hours === null];
			return new Set(facts).size === 1 ? null : `${row.status}, ${row.resolved_at}`;
		}),
		each('resolution time is the time between the timestamps', 'tickets', () => (row) => {
			if (row.resolved_at === null) return null;
			const ms = toMs(row.resolved_at) - toMs(row.created_at);
			return ms > 0 && ms === hundredths(row.resolution_time_hours) * 36_000 ? null : `${ms} ms`;
		}),
		each('SLA met exactly when resolved within its hours', 'tickets', () => (row) => {
			const hours = row.resolution_time_hours;
			const met = typeof hours === 'number' && hours <= (SLA_HOURS[String(row.priority)] ?? 0);
			return row.sla_met === met ? null : `${hours} h at ${row.priority}`;
		}),
		each('only resolved tickets have a score', 'tickets', () => (row) => {
			return row.csat_score === null || row.status === 'Resolved' ? null : `${row.csat_score} at ${row.status}`;
		}),
		...shares(
			'tickets',
			'category',
			{Technical: 40, Billing: 25, Account: 20, Product: 15},
			{slack: 1.5, where: (row) => !monthEnd(row)},
		),
		within('share of Billing from the 28th on', 'tickets', [44, 51], (rows) =>
			percentOf(rows.filter(monthEnd), has('category', 'Billing')),
		),
		...shares('tickets', 'priority', {Low: 50, Medium: 30, High: 15, Critical: 5}, {slack: 0.5}),
		...shares('tickets', 'channel', {Email: 50, Chat: 35, Phone: 15}, {slack: 0.5}),
		...shares('tickets', 'status', {Resolved: 75, Open: 20, Closed: 5}, {slack: 1.5}),
		...Object.entries({Low: 95, Medium: 90, High: 80, Critical: 70}).map(([priority, percent]) =>
			within(`SLA compliance at ${priority}`, 'tickets', [percent - 1.5, percent + 1.5], (rows) =>
				percentOf(rows.filter(ofPriority(priority)), has('sla_met', true)),
			),
		),
		within('share of resolved tickets with a score', 'tickets', [59, 61], (rows) =>
			percentOf(rows.filter(has('status', 'Resolved')), (row) => row.csat_score !== null),
		),
		...shares(
			'tickets',
			'csat_score',
			{1: 10, 2: 15, 3: 20, 4: 35, 5: 20},
			{slack: 1.5, where: (row) => row.csat_score !== null},
		),
		within('tickets on a Monday morning over other weekday mornings', 'tickets', [1.9, 2.5], (rows) => {
			const mornings = rows.filter((row) => ['08', '09', '10', '11'].includes(String(row.created_at).slice(11, 13)));
			const onDay = (...days: number[]) =>
				mornings.filter((row) => days.includes(new Date(toMs(row.created_at)).getUTCDay())).length;
			return (4 * onDay(1)) / onDay(2, 3, 4, 5);
		}),
		within('share opened from 9 to 17', 'tickets', [75, 90], (rows) =>
			percentOf(rows, (row) => {
				const hour = Number(String(row.created_at).slice(11, 13));
				return hour >= 9 && hour < 17;
			}),
		),
		within('open critical tickets', 'tickets', [20, 120], (rows) => {
			return rows.filter((row) => row.priority === 'Critical' && row.status === 'Open').length;
		}),
	];
}

// --- sensors -----------------------------------------------------------------------------------------------------------

const MEASURES = ['temperature_c', 'humidity_pct', 'pressure_hpa'];

function sensors(): Rule[] {
	const online = has('status', 'online');
	const kindOf = (row: Row) => LOCATIONS[String(row.location)]?.kind;
	const latest = (rows: readonly Row[]) => [...new Map(rows.map((row) => [row.sensor_id, row])).values()];
	return [
		each('a location has one zone', 'sensors', () => (row) => {
			return LOCATIONS[String(row.location)]?.zone === row.zone ? null : `${row.location} in ${row.zone}`;
		}),
		each('a sensor stays where it is', 'sensors', () => {
			const places = new Map<Value | undefined, Value | undefined>();
			return ({sensor_id: id, location}) => {
				if (!places.has(id)) places.set(id, location);
				return places.get(id) === location ? null : `${id} at ${location} and ${places.get(id)}`;
			};
		}),
		each('readings are in order of time', 'sensors', () => (row, previous) => {
			return String(row.timestamp) >= String(previous?.timestamp ?? '') ? null : String(row.timestamp);
		}),
		each('measures are there exactly while online', 'sensors', () => (row) => {
			return MEASURES.every((name) => (row[name] !== null) === online(row)) ? null : `${row.status}`;
		}),
		each('vibration is there exactly on machines online', 'sensors', () => (row) => {
			return (row.vibration_mm_s !== null) === (online(row) && kindOf(row) === 'industrial') ? null : `${row.location}`;
		}),
		each('anomalies have a type, and only online', 'sensors', () => (row) => {
			const flag = row.anomaly_flag === true;
			return flag === (row.anomaly_type !== null) && (!flag || online(row)) ? null : `${row.anomaly_flag}, ${row.anomaly_type}`;
		}),
		each('dangerous vibration is an alarm, and nothing else is', 'sensors', () => (row) => {
			const dangerous = Number(row.vibration_mm_s) > DANGEROUS_VIBRATION;
			return dangerous === (row.anomaly_type === 'vibration_alarm') ? null : `${row.vibration_mm_s}, ${row.anomaly_type}`;
		}),
		each('a battery is always there or never, and never charges', 'sensors', () => {
			const charges = new Map<Value | undefined, Value>();
			return ({sensor_id: id, battery_pct: battery = null}) => {
				const before = charges.get(id) ?? (charges.has(id) ? null : battery);
				charges.set(id, battery);
				return (before === null) === (battery === null) && Number(battery) <= Number(before)
					? null
					: `${id}: ${before} then ${battery}`;
			};
		}),
		within('fewest readings of a sensor', 'sensors', [333, 333], (rows) => Math.min(...countBy(rows, 'sensor_id'))),
		within('sensors', 'sensors', [150, 150], (rows) => countBy(rows, 'sensor_id').length),
		within('fewest readings at a location', 'sensors', [4_995, 4_995], (rows) => Math.min(...countBy(rows, 'location'))),
		within('days from the first to the last reading', 'sensors', [29.9, 30], (rows) => {
			return (toMs(rows.at(-1)?.timestamp) - toMs(rows[0]?.timestamp)) / 86_400_000;
		}),
		within(
			'days with readings',
			'sensors',
			[30, 31],
			(rows) => new Set(rows.map((row) => String(row.timestamp).slice(0, 10))).size,
		),
		...shares('sensors', 'status', {online: 90, offline: 5, maintenance: 5}, {slack: 0.5}),
		within('share of anomalies', 'sensors', [2.8, 3.3], (rows) => percentOf(rows.filter(online), has('anomaly_flag', true))),
		...shares(
			'sensors',
			'anomaly_type',
			{high_temp: 40, low_temp: 20, high_humidity: 15, sensor_fault: 15, vibration_alarm: 10},
			{slack: 2.5, where: (row) => row.anomaly_type !== null},
		),
		within(
			'sensors with a battery',
			'sensors',
			[60, 60],
			(rows) => latest(rows).filter((row) => row.battery_pct !== null).length,
		),
		within('sensors online with under 20 % battery', 'sensors', [8, 16], (rows) => {
			const low = rows.filter((row) => online(row) && row.battery_pct !== null && Number(row.battery_pct) < 20);
			return new Set(low.map((row) => row.sensor_id)).size;
		}),
	];
}

function countBy(rows: readonly Row[], column: string): number[] {
	return [
		...sumBy(
			rows,
			(row) => row[column],
			() => 1,
		).values(),
	];
}

/** What must hold between rows and over whole tables, by sample: links, arithmetic, and the distributions the data is meant to show. */
export const EXPECTATIONS: Readonly<Record<string, readonly Rule[]>> = {
	ecommerce: ecommerce(),
	support: support(),
	sensors: sensors(),
};
