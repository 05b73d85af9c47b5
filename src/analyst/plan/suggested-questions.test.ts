import assert from 'node:assert/strict';
import {test} from 'node:test';
import {compilePlan} from './compile-plan.ts';
import {requirePlan} from './parse-plan.ts';
import {openEngine} from './test-datasets.ts';
import {SUGGESTED} from './test-questions.ts';

test('every suggested question is a plan with the SQL and the sentence on record', (t) => {
	const record = SUGGESTED.map(([question, dataset, plan]) => {
		const {sql, sentence, warnings} = compilePlan(requirePlan(plan, dataset), dataset);
		return [`-- ${question}`, `-- ${sentence}`, ...warnings.map((warning) => `-- warning: ${warning}`), sql].join('\n');
	});
	assert.equal(record.length, 18);
	t.assert.snapshot(record.join('\n\n'), {serializers: [String]});
});

for (const [question, dataset, plan] of SUGGESTED) {
	test(`the engine runs "${question}" and yields the columns announced`, async () => {
		const {sql, columns} = compilePlan(requirePlan(plan, dataset), dataset);
		const engine = await openEngine(dataset);
		assert.deepEqual(
			await engine.columns(sql),
			columns.map(({name}) => name),
		);
		engine.close();
	});
}
