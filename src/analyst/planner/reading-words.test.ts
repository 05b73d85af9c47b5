import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {type Loaded, loadDataset} from '../../../test/questions/datasets.ts';
import {planQuestion} from './plan-question.ts';
import {inWords} from './reading-words.ts';

const world = {} as {sensors: Loaded; support: Loaded};

before(async () => {
	world.sensors = await loadDataset('sensors');
	world.support = await loadDataset('support');
});

after(() => {
	world.sensors.close();
	world.support.close();
});

for (const [id, question, said] of [
	[
		'sensors',
		'What are the average temperature and humidity in each zone?',
		'average temperature (°C) and average humidity (%) by zone in sensors, highest average temperature (°C) first',
	],
	[
		'sensors',
		'Show high temperature anomalies from the past week',
		'the rows of sensors where anomaly type is high_temp and anomaly flag is true and timestamp is in the last 1 week (2026-01-26 23:59 to 2026-02-02 23:59), latest timestamp first',
	],
	[
		'support',
		'What is the average resolution time by category?',
		'average resolution time (hours) by category in tickets, highest first',
	],
	[
		'support',
		'How often do we meet the SLA at each priority?',
		'percentage of tickets where sla met is true and number of tickets by priority where status is not Open, highest percent first',
	],
] as const) {
	test(`the reading of “${question}” is in words`, () => {
		const {dataset} = world[id];
		const planned = planQuestion(question, dataset);
		assert.ok(planned.kind === 'plan');
		assert.equal(inWords(planned, dataset).reading, said);
	});
}
