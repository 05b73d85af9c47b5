/** What very many runs leave behind, asked in the same way of every provider. */
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {type Figure, figure, quantile} from './harness.ts';

const MIB = 2 ** 20;
/** the runs are looked at that often */
const PARTS = 10;

type Many = {
	readonly name: string;
	readonly runs: number;
	/** as many at a time */
	readonly lanes: number;
	readonly run: () => Promise<unknown>;
	/** how many there are of each thing that a run could leave */
	readonly traces: () => Readonly<Record<string, number>>;
	/** MiB of the processes that serve all runs, beside this one */
	readonly memory: () => number;
};

/** More of anything than after a first tenth is left behind. Memory is compared between the middle and the end: a leak goes on. */
export async function leaks({name, runs, lanes, run, traces, memory}: Many): Promise<Figure[]> {
	setFlagsFromString('--expose-gc');
	const collect: () => void = runInNewContext('gc');
	const part = async () => {
		const left = {runs: Math.ceil(runs / PARTS)};
		const lane = async () => {
			while (left.runs-- > 0) await run();
		};
		await Promise.all(Array.from({length: lanes}, lane));
		collect();
		return process.memoryUsage().rss / MIB + memory();
	};
	await part();
	const before = traces();
	const sizes: number[] = [];
	for (let done = 0; done < PARTS; done += 1) sizes.push(await part());
	const after = traces();
	const left = Object.keys(before).map((key) => Math.max(0, (after[key] ?? 0) - (before[key] ?? 0)));
	const grown = quantile(sizes.slice(-3), 0.5) - quantile(sizes.slice(2, 5), 0.5);
	return [
		figure({
			...{name: `${name} leaks: ${Object.keys(before).join(', ')} left (%: of the runs)`, unit: '%', runs},
			...{samples: [(100 * left.reduce((sum, each) => sum + each, 0)) / runs], target: {of: 'p50', atMost: 0}},
		}),
		figure({name: `${name} leaks: memory grown over half of the runs`, unit: 'MiB', runs, samples: [Math.max(0, grown)]}),
		figure({name: `${name} leaks: memory, ten times meanwhile`, unit: 'MiB', samples: sizes}),
	];
}
