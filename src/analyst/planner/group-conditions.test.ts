import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {type Loaded, loadDataset} from '../../../test/questions/datasets.ts';
import {planQuestion} from './plan-question.ts';
import {inWords} from './reading-words.ts';

const world = {} as {ecommerce: Loaded; sensors: Loaded; support: Loaded};

before(async () => {
	world.ecommerce = await loadDataset('ecommerce');
	world.sensors = await loadDataset('sensors');
	world.support = await loadDataset('support');
});

after(() => {
	for (const loaded of Object.values(world)) loaded.close();
});

for (const [id, question, assumed] of [
	[
		'support',
		'How many tickets missed their SLA?',
		['rows with status Open count too, although sla met is not decided for them'],
	],
	['support', 'How many resolved tickets missed their SLA?', []],
	['support', 'How many tickets met their SLA?', []],
	['sensors', 'How many sensors are offline?', ['each sensor counts that matches at any time in the data']],
	['sensors', 'sensors that never went offline', []],
	['ecommerce', 'Which products are out of stock?', ['“out of stock” means stock = 0']],
] as const) {
	test(`“${question}” is answered with what it takes for granted`, () => {
		const planned = planQuestion(question, world[id].dataset);
		assert.ok(planned.kind === 'plan', JSON.stringify(planned));
		assert.deepEqual(inWords(planned, world[id].dataset).assumptions, assumed);
	});
}

for (const [id, question, reason] of [
	['support', 'Open tickets of high priority that were resolved', 'no row has both Open and Resolved as its status'],
	[
		'sensors',
		'average temperature of sensors that never had an anomaly',
		'it computes with what never happened to something, and that takes more than one step',
	],
	[
		'ecommerce',
		'number of customers with more than 3 orders per category',
		'it computes with groups that meet a condition, and that takes more than one step',
	],
	['ecommerce', 'top 2000 customers by revenue', 'a ranking has from 1 to 1000 places, not 2000'],
] as const) {
	test(`“${question}” is not answered, and the reason is said`, () => {
		const planned = planQuestion(question, world[id].dataset);
		assert.ok(planned.kind === 'abstain', JSON.stringify(planned));
		assert.equal(planned.reason, reason);
	});
}
