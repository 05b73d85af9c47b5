/** What a figure is, how it is made from samples, and how a file of figures is run: alone, or by bench.ts. */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';

export type Figure = {
	readonly name: string;
	readonly unit: 'ms' | 'µs' | '1/s' | 'MiB' | '%';
	/** where more is better, p95 and p99 are what the slowest 5 and 1 in a hundred reached */
	readonly p50: number;
	readonly p95: number;
	readonly p99: number;
	readonly runs: number;
	/** the p50 of what it is compared with, measured in turn with it in the same process */
	readonly baseline: number | null;
	/** p50 ÷ baseline */
	readonly ratio: number | null;
	/** e.g. `p50 ≤ 60`; null where the figure is only there to be known */
	readonly target: string | null;
	readonly ok: boolean | null;
};

type Target =
	| {readonly of: 'p50' | 'p95' | 'p99' | 'ratio'; readonly atMost: number}
	| {readonly of: 'p50'; readonly atLeast: number};

type Measured = {
	readonly name: string;
	readonly unit: Figure['unit'];
	readonly samples: readonly number[];
	/** where a sample is itself of many, such as a share of questions */
	readonly runs?: number;
	readonly baseline?: readonly number[];
	readonly target?: Target;
};

/** Throws when there is nothing to make a figure of: a benchmark that measured nothing has failed. */
export function figure({name, unit, samples, runs = samples.length, baseline, target}: Measured): Figure {
	if (samples.length === 0 || runs === 0 || samples.some(Number.isNaN)) throw new Error(`${name}: nothing was measured`);
	const rising = unit === '1/s';
	const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => round(quantile(samples, rising ? 1 - share : share))) as Triple;
	const compared = baseline && round(quantile(baseline, 0.5));
	const ratio = compared ? round(p50 / compared) : null;
	const values = {p50, p95, p99, ratio: ratio ?? Number.NaN};
	const met = target && ('atLeast' in target ? values.p50 >= target.atLeast : values[target.of] <= target.atMost);
	const limit = target && ('atLeast' in target ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`);
	return {
		...{name, unit, p50, p95, p99, runs, baseline: compared ?? null, ratio},
		...{target: target ? `${target.of} ${limit}` : null, ok: met ?? null},
	};
}

type Triple = [number, number, number];

export function quantile(samples: readonly number[], share: number): number {
	const sorted = samples.toSorted((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export async function timed(work: () => unknown): Promise<number> {
	const begin = performance.now();
	await work();
	return performance.now() - begin;
}

/**
 * Samples of several things in turn, round after round, so that a change of the machine's load reaches all of them; the first
 * `warmUp` rounds are not kept.
 */
export async function inTurn<Name extends string>(
	rounds: {readonly runs: number; readonly warmUp: number},
	things: Readonly<Record<Name, (round: number) => unknown>>,
): Promise<Record<Name, number[]>> {
	const samples = Object.fromEntries(Object.keys(things).map((name) => [name, [] as number[]])) as Record<Name, number[]>;
	for (let round = -rounds.warmUp; round < rounds.runs; round += 1) {
		for (const name of Object.keys(things) as Name[]) {
			const ms = await timed(() => things[name](round));
			if (round >= 0) samples[name].push(ms);
		}
	}
	return samples;
}

/** A directory for one file of figures, on the disk where state would be. */
export type Bench = {
	readonly dir: string;
	/** true with `--quick`: fewer runs, smaller data */
	readonly quick: boolean;
	/** true with `--long`: also what takes many minutes */
	readonly long: boolean;
	/** what has to be ended, last first */
	after(work: () => Promise<void> | void): void;
};

/** Measures and prints: a table, or with `--json` one object a line. The exit code tells whether it was measured, not whether it was fast. */
export async function report(measure: (bench: Bench) => Promise<readonly Figure[]>): Promise<void> {
	const flag = {type: 'boolean', default: false} as const;
	const options = {json: flag, quick: flag, long: flag};
	const {values} = parseArgs({options});
	const dir = mkdtempSync(path.join(tmpdir(), 'writ-bench-'));
	const endings: (() => Promise<void> | void)[] = [() => rmSync(dir, {recursive: true, force: true})];
	try {
		const figures = await measure({dir, quick: values.quick, long: values.long, after: (work) => void endings.push(work)});
		if (figures.length === 0) throw new Error('there are no figures');
		print(figures, values.json);
	} finally {
		for (const end of endings.toReversed()) await end();
	}
}

export function print(figures: readonly Figure[], json: boolean): void {
	if (json) for (const each of figures) console.log(JSON.stringify(each));
	else
		console.table(
			Object.fromEntries(figures.map(({name, ...rest}) => [name, {...rest, target: rest.target ?? '', ok: mark(rest.ok)}])),
		);
}

function mark(ok: boolean | null): string {
	return ok === null ? '' : ok ? 'yes' : 'MISSED';
}

export function round(value: number): number {
	const digits = value >= 100 ? 1 : value >= 1 ? 3 : 5;
	return Number(value.toFixed(digits));
}
