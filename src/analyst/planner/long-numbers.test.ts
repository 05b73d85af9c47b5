import assert from 'node:assert/strict';
import {test} from 'node:test';
import {compilePlan} from '../plan/compile-plan.ts';
import {requirePlan} from '../plan/parse-plan.ts';
import {datasetOf, tableOf} from '../plan/test-datasets.ts';
import {planQuestion} from './plan-question.ts';

const columns = [
	['id', 'integer'],
	['amount', 'double'],
	['note', 'text'],
] as const;
const payments = datasetOf('payments', [tableOf('payments', 9, columns)], [], null);

for (const [question, condition] of [
	['show id 9007199254740995', '"id" = 9007199254740995'],
	['payments with id = 9,007,199,254,740,995', '"id" = 9007199254740995'],
	['payments with id above 9007199254740995', '"id" > 9007199254740995'],
	['show id 123', '"id" = 123'],
	['payments with an amount below -5', '"amount" < -5'],
	['payments with an amount above -2.5', '"amount" > -2.5'],
] as const) {
	test(`“${question}” is asked of the engine to the last digit`, () => {
		const planned = planQuestion(question, payments);
		assert.ok(planned.kind === 'plan', JSON.stringify(planned));
		assert.ok(compilePlan(requirePlan(planned.plan, payments), payments).sql.split('\n').includes(`WHERE ${condition}`));
	});
}
