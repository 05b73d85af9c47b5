/**
 * How often the built-in planner answers right, wrong, or not at all, on questions it was built with and on questions it was not.
 * `node bench/planner.ts` prints a table, `--json` one object per figure; `--show` prints each answer that is not right, of the held-out
 * half too, which spoils it for building.
 */
import {parseArgs} from 'node:util';
import {type Half, type Judged, judgeHalf} from '../test/questions/judge.ts';
import {figure, print} from './harness.ts';

const flag = {type: 'boolean', default: false} as const;
/** `--quick` changes nothing: it is quick */
const {json, show} = parseArgs({options: {json: flag, show: flag, quick: flag}}).values;
const TARGET_MS = 10;
const judged = {'built-with': await judgeHalf('built-with'), 'held-out': await judgeHalf('held-out')};

const count = (list: readonly Judged[], verdict: Judged['verdict']) => list.filter((each) => each.verdict === verdict).length;
const percent = (part: number, whole: number) => Math.round((1_000 * part) / Math.max(1, whole)) / 10;

function summary(list: readonly Judged[]) {
	const answerable = list.filter(({isAnswerable}) => isAnswerable);
	return {
		questions: list.length,
		right: count(list, 'right'),
		abstained: count(list, 'abstained'),
		wrong: count(list, 'wrong'),
		'right %': percent(count(list, 'right'), list.length),
		'answerable abstained %': percent(count(answerable, 'abstained'), answerable.length),
		'wrong but confident %': percent(count(list, 'wrong'), list.length),
	};
}

const halves = Object.keys(judged) as Half[];
const times = halves.flatMap((half) => judged[half].map(({ms}) => ms));
const figures = [
	...halves.flatMap((half) => {
		const {
			questions,
			'right %': right,
			'wrong but confident %': wrong,
			'answerable abstained %': abstained,
		} = summary(judged[half]);
		const atMost = half === 'built-with' ? 0 : 5;
		const share = (what: string, value: number) =>
			({name: `planner: ${what}, ${half}`, unit: '%', samples: [value], runs: questions}) as const;
		return [
			figure(share('right', right)),
			figure(share('abstained though answerable', abstained)),
			figure({...share('wrong but confident', wrong), target: {of: 'p50', atMost}}),
		];
	}),
	figure({name: 'planner: time to plan, warm', unit: 'ms', samples: times, target: {of: 'p99', atMost: TARGET_MS}}),
];

if (json) print(figures, true);
else {
	const rows = halves.flatMap((half) =>
		[...Map.groupBy(judged[half], ({dataset}) => dataset)].map(([dataset, list]) => ({half, dataset, ...summary(list)})),
	);
	const built = rows.filter(({half}) => half === 'built-with');
	console.table([...built, ...halves.map((half) => ({half, dataset: 'all', ...summary(judged[half])}))]);
	print(figures, false);
	for (const each of halves.flatMap((half) => (show || half === 'built-with' ? judged[half] : []))) {
		if (each.verdict !== 'right')
			console.log(`\n${each.half} ${each.dataset}: ${each.question}\n  ${each.verdict}: ${each.detail.replaceAll('\n', '\n  ')}`);
	}
}
