import assert from 'node:assert/strict';
import {globSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {after, before, describe, test} from 'node:test';
import fc from 'fast-check';
import type {Dataset} from '#contract/dataset.ts';
import {type Loaded, loadDataset} from '../../../test/questions/datasets.ts';
import {type Judged, judgeHalf, matches, questionFiles} from '../../../test/questions/judge.ts';
import {compilePlan} from '../plan/compile-plan.ts';
import {requirePlan} from '../plan/parse-plan.ts';
import {SAMPLES} from '../samples/samples.ts';
import {planQuestion} from './plan-question.ts';

const world = {} as {judged: readonly Judged[]; ecommerce: Loaded; support: Loaded; sensors: Loaded};

before(async () => {
	world.judged = await judgeHalf('built-with');
	world.ecommerce = await loadDataset('ecommerce');
	world.support = await loadDataset('support');
	world.sensors = await loadDataset('sensors');
});

after(() => {
	for (const id of ['ecommerce', 'support', 'sensors'] as const) world[id].close();
});

function datasetOf(id: string): Dataset {
	return world[id as 'ecommerce' | 'support' | 'sensors'].dataset;
}

function reading(id: string, question: string): string {
	const planned = planQuestion(question, datasetOf(id));
	return planned.kind === 'plan'
		? planned.reading
		: `${planned.kind}: ${planned.kind === 'chat' ? planned.text : planned.reason}`;
}

describe('the questions it was built with', () => {
	test('are at least 150 over at least 8 datasets, together with those it was not built with', () => {
		const files = [...questionFiles('built-with'), ...questionFiles('held-out')];
		assert.ok(files.reduce((sum, {questions}) => sum + questions.length, 0) >= 150);
		assert.ok(new Set(files.map(({dataset}) => dataset)).size >= 8);
	});

	test('get no answer that is wrong', () => {
		const wrong = world.judged
			.filter(({verdict}) => verdict === 'wrong')
			.map(({dataset, question, detail}) => `${dataset}: ${question}: ${detail}`);
		assert.deepEqual(wrong, []);
		assert.ok(world.judged.length > 150);
	});

	test('get an answer nearly always when there is one', () => {
		const answerable = world.judged.filter(({isAnswerable}) => isAnswerable);
		const abstained = answerable.filter(({verdict}) => verdict === 'abstained');
		assert.ok(
			abstained.length <= answerable.length * 0.02,
			abstained.map(({question, detail}) => `${question}: ${detail}`).join('\n'),
		);
	});

	test('include every suggested prompt', () => {
		const right = new Set(world.judged.filter(({verdict}) => verdict === 'right').map(({question}) => question));
		assert.deepEqual(
			SAMPLES.flatMap(({prompts}) => prompts).filter((prompt) => !right.has(prompt)),
			[],
		);
	});
});

describe('a reading', () => {
	const READINGS: readonly (readonly [dataset: string, question: string, reading: string])[] = [
		[
			'ecommerce',
			'Which 10 products bring in the most revenue?',
			'Sum of price * quantity * (1 - discount / 100) as revenue by order_items.product_id and name in order_items joined with inventory, highest revenue first, top 10',
		],
		[
			'ecommerce',
			'What is the return rate for each category?',
			'100 * count of distinct orders.order_id (only where returned is true) / count of distinct orders.order_id as percent and count of distinct orders.order_id by category in order_items joined with orders, highest percent first',
		],
		[
			'ecommerce',
			'What is the average discount by category?',
			'Average discount as average_discount by category in order_items, highest average_discount first',
		],
		[
			'ecommerce',
			'Which Electronics products have fewer than 20 in stock?',
			'Show product_id, name, category and stock of inventory where stock is less than 20 and category is Electronics, lowest stock first',
		],
		[
			'ecommerce',
			'Who are our top 20 customers by total spend?',
			'Sum of total as total_total by customer_id in orders, highest total_total first, top 20',
		],
		[
			'ecommerce',
			'Show returned orders over $100 from the past month',
			'Show order_id, customer_id, order_date, total, status and returned of orders where total is more than 100 and returned is true and order_date is in the last 1 month (2026-01-03 to 2026-02-02), highest total first',
		],
		[
			'support',
			'How often do we meet the SLA at each priority?',
			'Percentage of tickets where sla_met is true as percent and count tickets by priority where status is not Open, highest percent first',
		],
		[
			'support',
			'What is the average satisfaction score by category?',
			'Average csat_score as average_csat_score by category in tickets, highest average_csat_score first',
		],
		[
			'support',
			'Which critical tickets have been open the longest?',
			'Show ticket_id, created_at, resolved_at, category, priority, csat_score, sla_met, resolution_time_hours, status, agent_id and channel of tickets where priority is Critical and status is Open, earliest created_at first, top 10',
		],
		[
			'support',
			'What is the average resolution time by category?',
			'Average resolution_time_hours as average_resolution_time_hours by category in tickets, highest average_resolution_time_hours first',
		],
		[
			'support',
			'Show tickets that missed their SLA in the past week',
			'Show ticket_id, created_at, resolved_at, category, priority, csat_score, sla_met, resolution_time_hours, status, agent_id and channel of tickets where sla_met is false and created_at is in the last 1 week (2026-01-26 23:59 to 2026-02-02 23:59), latest created_at first',
		],
		[
			'support',
			'Which resolved tickets got 1 or 2 stars in the past month?',
			'Show ticket_id, created_at, resolved_at, category, priority, csat_score, sla_met, resolution_time_hours, status, agent_id and channel of tickets where csat_score is one of 1, 2 and status is Resolved and created_at is in the last 1 month (2026-01-02 23:59 to 2026-02-02 23:59), latest created_at first',
		],
		[
			'sensors',
			'How many anomalies did each location have in the last 24 hours?',
			'Count sensors by location where anomaly_flag is true and timestamp is in the last 24 hours (2026-02-01 23:59 to 2026-02-02 23:59), most first',
		],
		[
			'sensors',
			'What are the average temperature and humidity in each zone?',
			'Average temperature_c as average_temperature_c and average humidity_pct by zone in sensors, highest average_temperature_c first',
		],
		[
			'sensors',
			'Show high temperature anomalies from the past week',
			'Show sensor_id, timestamp, location, zone, temperature_c, humidity_pct, pressure_hpa, vibration_mm_s, anomaly_flag, anomaly_type, battery_pct and status of sensors where anomaly_type is high_temp and anomaly_flag is true and timestamp is in the last 1 week (2026-01-26 23:59 to 2026-02-02 23:59), latest timestamp first',
		],
		[
			'sensors',
			'Which sensors have a battery level under 20%?',
			'Lowest battery_pct as lowest_battery_pct by sensor_id in sensors where battery_pct is less than 20, lowest lowest_battery_pct first',
		],
		[
			'sensors',
			'How are readings distributed over sensor status?',
			'Count sensors and percentage of the total of count of sensors by status, most first',
		],
		[
			'sensors',
			'Where was vibration dangerous (above 15 mm/s) in the last 6 hours?',
			'Show sensor_id, timestamp, location, zone, temperature_c, humidity_pct, pressure_hpa, vibration_mm_s, anomaly_flag, anomaly_type, battery_pct and status of sensors where vibration_mm_s is more than 15 and timestamp is in the last 6 hours (2026-02-02 17:59 to 2026-02-02 23:59), highest vibration_mm_s first',
		],
		[
			'support',
			'How many tickets were resolved in January 2026?',
			'Count tickets where resolved_at is no earlier than 2026-01-01 and resolved_at is before 2026-02-01',
		],
		[
			'ecommerce',
			'average order total by status',
			'Average total as average_total by status in orders, highest average_total first',
		],
		[
			'ecommerce',
			'customers with more than 6 orders',
			'Count orders by customer_id, only groups where count of orders is more than 6, most first',
		],
		[
			'sensors',
			'average temperature by hour of day',
			'Average temperature_c by hour of day of timestamp in sensors, lowest hour of day of timestamp first',
		],
	];
	for (const [dataset, question, expected] of READINGS) {
		test(`of “${question}” says what is computed`, () => assert.equal(reading(dataset, question), expected));
	}
});

describe('what is taken for granted', () => {
	const granted = (id: string, question: string) => {
		const planned = planQuestion(question, datasetOf(id));
		return planned.kind === 'plan' ? planned.assumptions : planned;
	};

	test('includes how revenue is computed', () => {
		assert.deepEqual(granted('ecommerce', 'total revenue'), [
			'revenue is price × quantity less discount, over all rows whatever became of them',
		]);
	});

	test('includes what a share leaves out because a description says it is not decided', () => {
		assert.deepEqual(granted('support', 'SLA compliance by priority'), [
			'rows with status Open are left out, because sla_met is not decided for them',
		]);
	});

	test('includes the moment that is now', () => {
		assert.deepEqual(granted('sensors', 'number of anomalies per location over the past 24 hours'), [
			'now is 2026-02-02 23:59:59, the end of the data',
		]);
	});
});

describe('no answer', () => {
	test('names the word that is not understood and what could be asked instead', () => {
		const planned = planQuestion('How many orders were shipped late by category?', datasetOf('ecommerce'));
		assert.equal(planned.kind, 'abstain');
		assert.equal(planned.kind === 'abstain' && planned.reason, 'I do not understand “shipped” here');
		assert.ok(planned.kind === 'abstain' && planned.suggestions.length > 0);
	});

	test('suggests only what it can answer', () => {
		for (const id of ['ecommerce', 'support', 'sensors']) {
			const planned = planQuestion('Why is the sky blue?', datasetOf(id));
			assert.ok(planned.kind === 'abstain' && planned.suggestions.length === 3);
			for (const suggestion of planned.suggestions) assert.equal(planQuestion(suggestion, datasetOf(id)).kind, 'plan');
		}
	});

	test('is given where a join would count rows twice', () => {
		assert.deepEqual(
			reading('ecommerce', 'average order total by category'),
			'abstain: total belongs to orders, whose rows would be counted more than once',
		);
	});
});

describe('any input', () => {
	const word = fc.constantFrom(
		...'how many average total top 10 by per category status orders the of in last week month not over 20 and or price Toys blue quickly between highest sensors 2026-01-01 revenue share missing , ? is'.split(
			' ',
		),
	);

	test('gets an answer without throwing, and every plan compiles', () => {
		fc.assert(
			fc.property(fc.array(word, {maxLength: 25}), (words) => {
				const planned = planQuestion(words.join(' '), datasetOf('ecommerce'));
				if (planned.kind === 'plan') compilePlan(requirePlan(planned.plan, datasetOf('ecommerce')), datasetOf('ecommerce'));
			}),
			{numRuns: 500},
		);
	});

	test('of random words mostly gets none', () => {
		const salads = fc.sample(fc.array(fc.oneof(word, fc.string({minLength: 3, maxLength: 8})), {minLength: 6, maxLength: 20}), {
			numRuns: 300,
			seed: 7,
		});
		const answered = salads.filter((words) => planQuestion(words.join(' '), datasetOf('ecommerce')).kind === 'plan');
		assert.ok(
			answered.length <= 6,
			`${answered.length} of 300 answered: ${answered
				.slice(0, 5)
				.map((words) => words.join(' '))
				.join(' | ')}`,
		);
	});

	test('of any characters gets an answer without throwing', () => {
		fc.assert(
			fc.property(fc.string({unit: 'binary', maxLength: 300}), (text) => void planQuestion(text, datasetOf('support'))),
			{numRuns: 300},
		);
	});

	for (const [title, text] of Object.entries({
		'200 KB of words': 'average price by category '.repeat(8_000),
		'one word of 200 KB': 'a'.repeat(200_000),
		'control characters': `average\u0000 price\u001b[31m by\u0007 category\u202e`,
		'a thousand openings': '('.repeat(1_000),
		'a thousand conjunctions': 'and or '.repeat(140),
		nothing: '   ',
	})) {
		test(`that is ${title} is safe and quick`, () => {
			planQuestion(text, datasetOf('ecommerce'));
			const start = performance.now();
			planQuestion(text, datasetOf('ecommerce'));
			assert.ok(performance.now() - start < 100);
		});
	}

	test('that holds SQL never reaches the query but as a value', async () => {
		const attacks = [
			"orders where status is '; DROP TABLE orders; --'",
			'average price by category; DELETE FROM orders',
			'total of orders UNION SELECT * FROM inventory',
			`products with name "x' OR 1=1 --"`,
		];
		const {dataset} = world.ecommerce;
		const planned = attacks.map((attack) => planQuestion(attack, dataset));
		assert.deepEqual(
			planned.map(({kind}) => kind),
			['abstain', 'abstain', 'abstain', 'plan'],
		);
		const [, , , last] = planned;
		assert.ok(last?.kind === 'plan');
		assert.deepEqual(await world.ecommerce.rows(compilePlan(requirePlan(last.plan, dataset), dataset).sql), []);
	});
});

describe('the planner', () => {
	test('knows no sample by name', () => {
		const names = SAMPLES.flatMap(({tables}) =>
			tables.flatMap(({name, columns}) => [name, ...columns.map((column) => column.name)]),
		).filter((name) => name.includes('_'));
		const files = globSync(path.join(import.meta.dirname, '*.ts')).filter((file) => !file.endsWith('.test.ts'));
		const found = files.flatMap((file) => {
			const text = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '');
			return names.filter((name) => text.includes(name)).map((name) => `${path.basename(file)}: ${name}`);
		});
		assert.deepEqual(found, []);
		assert.ok(files.length > 15 && names.length > 15);
	});
});

describe('the judge', () => {
	test('finds wanted columns among others, in any order of rows unless the order counts', () => {
		assert.equal(
			matches(
				[
					['a', 1],
					['b', 2],
				],
				[
					[2, 'x', 'b'],
					[1, 'y', 'a'],
				],
				{},
			),
			true,
		);
		assert.equal(
			matches(
				[
					['a', 1],
					['b', 2],
				],
				[
					[2, 'x', 'b'],
					[1, 'y', 'a'],
				],
				{ordered: true},
			),
			false,
		);
	});

	test('tells wrong values, missing rows and swapped pairs', () => {
		assert.equal(matches([['a', 1]], [['a', 2]], {}), false);
		assert.equal(
			matches(
				[
					['a', 1],
					['b', 2],
				],
				[['a', 1]],
				{},
			),
			false,
		);
		assert.equal(
			matches(
				[
					['a', 1],
					['b', 2],
				],
				[
					['a', 2],
					['b', 1],
				],
				{},
			),
			false,
		);
	});
});
