import assert from 'node:assert/strict';
import {test} from 'node:test';
import fc from 'fast-check';
import {type Condition, type Expr, type QueryPlanInput, queryPlanSchema} from '#contract/query-plan.ts';
import {compilePlan} from './compile-plan.ts';
import {parsePlan, requirePlan} from './parse-plan.ts';
import {openEngine, support} from './test-datasets.ts';

const NUMBERS = ['ticket_id', 'csat_score', 'resolution_time_hours', 'agent_id'];
const TEXTS = ['category', 'priority', 'status', 'channel'];
const TIMES = ['created_at', 'resolved_at'];

const hostile = fc.oneof(
	fc.string({unit: 'binary'}).filter((text) => text.isWellFormed() && !text.includes('\0')),
	fc.constantFrom("'", '"', '\\', "'; DROP TABLE tickets; --", '%_\\', "\\'", '$$', '/*', '?', '$1', 'é‮', "''''"),
);
/** Whole numbers that a number does not hold to the last digit are refused. */
const isExact = (value: number) => !Number.isInteger(value) || Number.isSafeInteger(value) || Math.abs(value) >= 1e38;
const number = fc.oneof(fc.integer(), fc.double({noNaN: true, noDefaultInfinity: true}).filter(isExact));

const numeric: fc.Arbitrary<Expr> = fc.letrec<{expr: Expr}>((tie) => ({
	expr: fc.oneof(
		{maxDepth: 3},
		fc.constantFrom(...NUMBERS),
		number,
		fc.record({
			op: fc.constantFrom('+' as const, '-' as const, '*' as const, '/' as const, '%' as const),
			args: fc.tuple(tie('expr'), tie('expr')),
		}),
		fc.record({
			op: fc.constantFrom('abs' as const, 'sqrt' as const, 'ln' as const, 'round' as const),
			args: fc.tuple(tie('expr')),
		}),
	),
})).expr;

const condition: fc.Arbitrary<Condition> = fc.letrec<{condition: Condition}>((tie) => ({
	condition: fc.oneof(
		{maxDepth: 3},
		fc.record({
			column: fc.constantFrom(...TEXTS),
			op: fc.constantFrom('=' as const, 'contains' as const, 'iendswith' as const, 'iequals' as const),
			value: hostile,
		}),
		fc.record({
			column: fc.constantFrom(...TEXTS),
			op: fc.constantFrom('in' as const, 'not_in' as const),
			value: fc.array(hostile, {maxLength: 3}),
		}),
		fc.record({expr: numeric, op: fc.constantFrom('<' as const, '>=' as const, '!=' as const), value: number}),
		fc.record({
			column: fc.constantFrom(...TIMES),
			op: fc.constant('in_last' as const),
			value: fc.record({
				amount: fc.integer({min: 1, max: 50}),
				unit: fc.constantFrom('hour' as const, 'day' as const, 'month' as const),
			}),
		}),
		fc.record({column: fc.constantFrom(...TIMES, ...TEXTS), op: fc.constantFrom('is_null' as const, 'is_not_null' as const)}),
		fc.record({and: fc.array(tie('condition'), {minLength: 1, maxLength: 3})}),
		fc.record({or: fc.array(tie('condition'), {minLength: 1, maxLength: 3})}),
		fc.record({not: tie('condition')}),
	),
})).condition;

const direction = fc.constantFrom('asc' as const, 'desc' as const);
const rows: fc.Arbitrary<QueryPlanInput> = fc.record({
	table: fc.constant('tickets'),
	select: fc.array(fc.record({expr: numeric}), {minLength: 1, maxLength: 3}),
	filters: fc.array(condition, {maxLength: 3}),
	order_by: fc.array(fc.record({expr: fc.constantFrom(...NUMBERS, ...TIMES), direction}), {maxLength: 2}),
	limit: fc.integer({min: 1, max: 1000}),
});
const groups: fc.Arbitrary<QueryPlanInput> = fc
	.record({
		key: fc.constantFrom(...TEXTS),
		measure: numeric,
		where: condition,
		filters: condition,
		having: fc.integer(),
		direction,
	})
	.map(({key, measure, where, filters, having, direction: way}) => ({
		table: 'tickets',
		select: [
			key,
			{func: 'sum', expr: measure, where, alias: 'm'},
			{func: 'rate', if: where, alias: 'r'},
			{window: 'rank', order_by: [{expr: 'm', direction: way}], alias: 'place'},
		],
		filters,
		group_by: [key],
		having: {column: 'r', op: '>', value: having},
		qualify: {column: 'place', op: '<=', value: 3},
		order_by: [{expr: 'm', direction: way}],
	}));

test('any plan compiles to one SELECT that the engine takes, the same every time', async () => {
	const engine = await openEngine(support);
	await fc.assert(
		fc.asyncProperty(fc.oneof(rows, groups), async (input) => {
			assert.ok(queryPlanSchema.safeParse(input).success);
			const plan = requirePlan(input, support);
			const {sql, columns} = compilePlan(plan, support);
			assert.equal(sql, compilePlan(requirePlan(structuredClone(input), support), support).sql);
			assert.equal(await engine.statements(sql), 1);
			assert.deepEqual(
				await engine.columns(sql),
				columns.map(({name}) => name),
			);
		}),
		{numRuns: 150},
	);
	engine.close();
});

test('no text gets out of its literal: the engine reads back exactly what was written', async () => {
	const engine = await openEngine(support);
	await engine.run(`INSERT INTO tickets (ticket_id) VALUES (1)`);
	await fc.assert(
		fc.asyncProperty(hostile, async (text) => {
			const plan = {
				table: 'tickets',
				select: [
					{expr: {value: text}, alias: 'v'},
					{func: 'count', where: {column: 'status', op: 'icontains', value: text}, alias: 'n'},
				],
			};
			const grouped = {...plan, select: [plan.select[0]]};
			const {sql} = compilePlan(requirePlan(grouped, support), support);
			assert.equal(await engine.statements(sql), 1);
			assert.deepEqual(await engine.rows(sql), [[text]]);
			assert.equal(await engine.statements(compilePlan(requirePlan(plan, support), support).sql), 1);
		}),
		{numRuns: 200},
	);
	engine.close();
});

test('a text filter finds exactly the texts that hold it', async () => {
	const engine = await openEngine(support);
	await fc.assert(
		fc.asyncProperty(
			fc.string({unit: fc.constantFrom('a', '%', '_', '\\', "'"), maxLength: 4}),
			fc.string({unit: fc.constantFrom('a', '%', '_', '\\', "'"), maxLength: 6}),
			async (part, whole) => {
				await engine.run(`DELETE FROM tickets; INSERT INTO tickets (status) VALUES ('${whole.replaceAll("'", "''")}')`);
				for (const [op, holds] of [
					['contains', whole.includes(part)],
					['startswith', whole.startsWith(part)],
					['iendswith', whole.endsWith(part)],
				] as const) {
					const plan = {table: 'tickets', select: ['status'], filters: [{column: 'status', op, value: part}]};
					assert.deepEqual(await engine.rows(compilePlan(requirePlan(plan, support), support).sql), holds ? [[whole]] : []);
				}
			},
		),
		{numRuns: 100},
	);
	engine.close();
});

test('no name that is not a column, table or alias gets through', () => {
	fc.assert(
		fc.property(
			hostile.filter((text) => text !== '*' && !/^[\p{L}\p{N}_]{1,63}$/u.test(text)),
			(name) => {
				const places = [
					{table: name},
					{table: 'tickets', select: [{column: name}]},
					{table: 'tickets', select: [{column: 'status', alias: name}]},
					{table: 'tickets', filters: [{column: name, op: 'is_null'}]},
				];
				for (const plan of places) {
					const result = parsePlan(plan, support);
					assert.ok('problems' in result);
					assert.match(result.problems[0]?.message ?? '', /Invalid identifier/);
				}
			},
		),
	);
});

test('whatever is sent, the answer is a plan or a list of problems', () => {
	fc.assert(
		fc.property(
			fc.oneof(
				fc.json().map((text): unknown => JSON.parse(text)),
				fc.object({withNullPrototype: true}),
				fc.anything(),
			),
			(input) => {
				const result = parsePlan({table: 'tickets', select: input, filters: input, order_by: input}, support);
				assert.ok('plan' in result || result.problems.length > 0);
				assert.ok('problems' in parsePlan(input, support));
			},
		),
	);
});
