import assert from 'node:assert/strict';
import {test} from 'node:test';
import fc from 'fast-check';
import type {Json} from '#contract/json.ts';
import {type Claim, checkAnswer} from './grounding.ts';
import {readNumbers} from './numbers.ts';

function table(rows: readonly (readonly Json[])[], names: readonly string[] = ['a', 'b', 'c']): Claim['results'][number] {
	const columns = names.slice(0, rows[0]?.length ?? 1).map((name) => ({name, type: 'text' as const}));
	return {columns, rows: rows.map((row) => [...row]), totalRows: rows.length};
}

function check(answer: string, parts: Partial<Claim> = {}): ReturnType<typeof checkAnswer> {
	return checkAnswer({answer, question: 'How many are there?', results: [], facts: [], ...parts});
}

function missing(answer: string, rows: readonly (readonly Json[])[], parts: Partial<Claim> = {}): string[] {
	const {numbers} = check(answer, {results: [table(rows)], ...parts});
	return numbers.filter(({found}) => !found).map(({text}) => text);
}

const FOUND: readonly (readonly [answer: string, rows: readonly (readonly Json[])[]])[] = [
	['There are 6,417 tickets.', [[6417]]],
	['There are 6417 tickets.', [[6417]]],
	['There are 6\u202f417 tickets.', [[6417]]],
	['Revenue was $1,234,567.89.', [['1234567.89']]],
	['Revenue was about $1.2 million.', [[1_234_567.89]]],
	['Revenue was $1.23M, or 1,235k.', [[1_234_567.89]]],
	['About 1,200 orders.', [[1_234]]],
	['The rate is 12.34 %.', [[0.1234]]],
	['The rate is 12.3%.', [[12.34]]],
	['The rate is 12 percent.', [[0.1234]]],
	['A loss of 500 euros.', [[-500]]],
	['It fell by −3.5 points.', [[-3.5]]],
	['Between 10 and 20, that is 10–20.', [[10, 20]]],
	['The average is 7.14.', [[7.14159]]],
	['Id 9007199254740993 is first.', [['9007199254740993']]],
	['On 2024-03-05 there were 7.', [['2024-03-05', 7]]],
	['On March 5, 2024 there were 7.', [['2024-03-05T00:00:00', 7]]],
	['On 5 March there were 7.', [['2024-03-05T00:00:00', 7]]],
	['In March 2024 there were 7.', [['2024-03-01T00:00:00', 7]]],
	['In 2024 there were 7.', [['2024-03-01T00:00:00', 7]]],
	['The peak is at 14:30.', [['2024-03-05T14:30:00']]],
	['Three regions are listed.', [['n'], ['s'], ['w']]],
	['The top 2 are n and s.', [['n'], ['s'], ['w']]],
	['1. North\n2. South\n3. West', [['n'], ['s'], ['w']]],
	['Ticket P1 of sensor_12 is in `rows_2024`.', [['x']]],
	['```sql\nSELECT 99\n```\nDone, 7.', [[7]]],
	['It ranks 2nd.', [['n'], ['s'], ['w']]],
];

for (const [answer, rows] of FOUND) {
	test(`found: ${answer.replaceAll('\n', ' ')}`, () => {
		assert.deepEqual(missing(answer, rows), []);
	});
}

const MISSING: readonly (readonly [answer: string, rows: readonly (readonly Json[])[], missing: readonly string[]])[] = [
	['There are 6,418 tickets.', [[6417]], ['6,418']],
	['There are exactly 6,400 tickets.', [[6417]], ['6,400']],
	['About 1,300 orders.', [[1_234]], ['1,300']],
	['The rate is 12.4 %.', [[0.1234]], ['12.4 %']],
	['10 more than the 20 before.', [[30, 20]], ['10']],
	['Together they are 50.', [[30, 20]], ['50']],
	['On 2024-03-06.', [['2024-03-05']], ['2024-03-06']],
	['On March 6, 2024.', [['2024-03-05']], ['March 6, 2024']],
	['In 2023.', [['2024-03-05']], ['2023']],
	['Id 9007199254740992 is first.', [['9007199254740993']], ['9007199254740992']],
	['Seven regions.', [['n'], ['s'], ['w']], ['Seven']],
	['The top 5 are listed.', [['n'], ['s'], ['w']], ['5']],
	['The answer is `42`.', [[7]], ['42']],
	[
		'1. North has 11\n2. South has 12',
		[
			['n', 11],
			['s', 13],
		],
		['12'],
	],
	['It is 1.2 billion.', [[1_234_567]], ['1.2 billion']],
	['10,20,30', [[10]], ['20,30']],
];

for (const [answer, rows, expected] of MISSING) {
	test(`missing: ${answer.replaceAll('\n', ' ')}`, () => {
		assert.deepEqual(missing(answer, rows), expected);
	});
}

test('a number of the question or of the schema needs no result', () => {
	const parts = {question: 'How many in the last 90 days?', facts: ['{"rows":6417}']};
	assert.deepEqual(missing('In the last 90 days, of 6,417, there were 5.', [[5]], parts), []);
});

test('a number no result holds is named to the user', () => {
	const {executed, warnings} = check('There are 42 of 7.', {results: [table([[7]])]});
	assert.equal(executed, true);
	assert.deepEqual(warnings, ['The number 42 is in no result of this run.']);
});

test('an invented answer is called not computed', () => {
	assert.deepEqual(check('There are 42.').warnings, [
		'This answer was not computed: nothing was run on the data for it.',
		'The number 42 is in no result of this run.',
	]);
	assert.equal(check('Wireless headphones sell best.', {question: 'Which product sells best?'}).warnings.length, 1);
});

for (const [question, answer] of [
	['hi', 'Hello! Ask me about the tickets.'],
	['What can you do?', 'I answer questions about this dataset.'],
	['Which columns are there?', 'ticket_id, priority and status.'],
	['How many tickets by colour?', 'There is no such column. Which one do you mean?'],
	['What is the total by planet?', 'The data does not contain planets.'],
] as const) {
	test(`no execution is needed: ${question}`, () => {
		assert.deepEqual(check(answer, {question}).warnings, []);
	});
}

test('property: a cell is found in every way people write it', () => {
	const ways: readonly ((value: number) => string)[] = [
		(value) => String(value),
		(value) => value.toLocaleString('en-US', {maximumFractionDigits: 6}),
		(value) => value.toFixed(2),
		(value) => value.toFixed(0),
		(value) => `${(value * 100).toFixed(2)} %`,
		(value) => `$${value.toLocaleString('en-US', {minimumFractionDigits: 2, maximumFractionDigits: 2})}`,
		(value) => `${(value / 1e6).toFixed(2)} million`,
		(value) => `${(value / 1e3).toFixed(1)}k`,
	];
	const value = fc.oneof(
		fc.integer({min: 0, max: 10 ** 12}),
		fc.double({min: 0, max: 1e9, noNaN: true}).map((v) => Math.round(v * 1e4) / 1e4),
	);
	fc.assert(
		fc.property(value, fc.constantFrom(...ways), (cell, write) => {
			assert.deepEqual(missing(`It is ${write(cell)} in all.`, [[cell]]), []);
		}),
		{numRuns: 500},
	);
});

test('property: a whole number that is nowhere is never found', () => {
	const numbers = fc.uniqueArray(fc.integer({min: 1_000, max: 10 ** 9}), {minLength: 2, maxLength: 20});
	fc.assert(
		fc.property(numbers, ([lie = 0, ...cells]) => {
			fc.pre(cells.every((cell) => Math.abs(cell - lie) > 1 && Math.abs(cell * 100 - lie) > 100));
			assert.deepEqual(
				missing(
					`It is ${lie}.`,
					cells.map((cell) => [cell]),
				),
				[String(lie)],
			);
		}),
		{numRuns: 500},
	);
});

test('property: no text breaks it, and warnings are there exactly when something is missing', () => {
	fc.assert(
		fc.property(fc.string({unit: 'binary', maxLength: 400}), (text) => {
			const {numbers, warnings} = check(text, {results: [table([[7]])]});
			assert.equal(
				warnings.length > 0,
				numbers.some(({found}) => !found),
			);
		}),
		{numRuns: 500},
	);
});

test('property: text made of digits and marks is read in linear time', () => {
	for (const piece of ['1,', '1.', '-', '1 ', "1'234", '12:', '`', '```sql\n', '9', '1e', 'May ', '2024-', '\n1. ']) {
		const started = performance.now();
		readNumbers(piece.repeat(20_000));
		const elapsed = performance.now() - started;
		assert.ok(elapsed < 2_000, `${JSON.stringify(piece)} took ${elapsed} ms`);
	}
});
