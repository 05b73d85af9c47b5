/** A pool at work, in the same way for every provider: one run after the other from a full pool, and very many at once. */
import {setTimeout as delay} from 'node:timers/promises';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import {createPool, type Pool} from '#sandbox/pool.ts';
import type {SandboxProvider} from '#sandbox/sandbox.ts';
import {type Figure, figure, timed} from './harness.ts';

export type Work = {readonly spec: SandboxSpec; readonly request: RunnerRequest};

type Load = {
	/** what the figures are of, e.g. `sandbox sql` */
	readonly name: string;
	/** The pool closes it. */
	readonly open: () => SandboxProvider;
	readonly work: Work;
	readonly runs: number;
};

const TENANTS = ['a', 'b', 'c', 'd'];
const signal = new AbortController().signal;

function permitOf(tenant: string) {
	return mintPermit({id: 'bench', runId: 'run_bench', actionId: 'act_bench', tool: 'bench', tenant, binding: ''});
}

async function rested(pool: Pool, idle: number): Promise<void> {
	for (const end = Date.now() + 60_000; pool.stats().idle < idle; await delay(2))
		if (Date.now() > end) throw new Error(`the pool did not fill: ${JSON.stringify(pool.stats())}`);
}

type OneByOne = Load & {
	/** how long a start takes, ms */
	readonly cold: readonly number[];
	/** ms */
	readonly atMost: {readonly p50: number; readonly p95?: number};
};

/** Each run is claimed from a full pool. */
export async function oneByOne({name, open, work, runs, cold, atMost}: OneByOne): Promise<Figure[]> {
	const pool = createPool({provider: open(), size: 4, perSpec: 2, concurrency: 2, queue: 10});
	await pool.warm([{spec: work.spec, tenant: 'bench'}]);
	const samples: number[] = [];
	let failed = 0;
	for (let run = 0; run < runs; run += 1) {
		await rested(pool, 2);
		samples.push(await timed(() => pool.run(permitOf('bench'), work, signal).catch(() => (failed += 1))));
	}
	await pool.close();
	const claim = {name: `${name}, warm: claim to answer, one after the other (baseline: cold)`, unit: 'ms', samples} as const;
	return [
		figure({...claim, baseline: cold, target: {of: 'p50', atMost: atMost.p50}}),
		...(atMost.p95 === undefined
			? []
			: [figure({...claim, name: `${claim.name}, the slowest`, target: {of: 'p95', atMost: atMost.p95}})]),
		figure({
			...{name: `${name}, warm: answered`, unit: '%', samples: [100 - (100 * failed) / runs], runs},
			target: {of: 'p50', atLeast: 99.9},
		}),
	];
}

type AtOnce = Load & {
	readonly rounds: number;
	/** runs in a second without a sandbox, asked after each round; left out where no such program exists */
	readonly bare?: () => Promise<number>;
};

/** All runs at once, of several tenants, on eight places. */
export async function atOnce({name, open, work, runs, rounds, bare}: AtOnce): Promise<Figure[]> {
	const bursts: Burst[] = [];
	const limits: number[] = [];
	for (let round = 0; round < rounds; round += 1) {
		bursts.push(await burst(open(), work, runs));
		if (bare) limits.push(await bare());
	}
	const what = `${name}, burst of ${runs} runs of ${TENANTS.length} tenants on 8 places`;
	const samples = bursts.map(({perSecond}) => perSecond);
	return [
		figure(
			bare
				? {name: `${what} (baseline: the runner without a sandbox, one a processor)`, unit: '1/s', samples, baseline: limits}
				: {name: what, unit: '1/s', samples},
		),
		...(bare
			? [
					figure({
						...{name: `${what}: of the throughput without a sandbox`, unit: '%'},
						...{samples: samples.map((each, round) => (100 * each) / (limits[round] ?? Number.NaN))},
						target: {of: 'p50', atLeast: 60},
					}),
				]
			: []),
		figure({
			...{name: `${what}: failed`, unit: '%', runs: runs * rounds},
			...{samples: bursts.map(({failed}) => (100 * failed) / runs), target: {of: 'p99', atMost: 0}},
		}),
		figure({
			...{name: `${what}: half of the answers, slowest tenant to fastest`, unit: '%'},
			...{samples: bursts.map(({unfair}) => 100 * unfair), target: {of: 'p99', atMost: 150}},
		}),
	];
}

type Burst = {readonly perSecond: number; readonly failed: number; readonly unfair: number};

/** `unfair` is how much later than the first the last tenant had half of its answers. */
async function burst(provider: SandboxProvider, work: Work, runs: number): Promise<Burst> {
	const pool = createPool({provider, size: 8, perSpec: 2, concurrency: 8, queue: runs});
	await pool.warm(TENANTS.map((tenant) => ({spec: work.spec, tenant})));
	const answered = new Map<string, number[]>(TENANTS.map((tenant) => [tenant, []]));
	let failed = 0;
	const started = performance.now();
	const one = async (tenant: string) => {
		await pool.run(permitOf(tenant), work, signal).catch(() => (failed += 1));
		answered.get(tenant)?.push(performance.now() - started);
	};
	await Promise.all(Array.from({length: runs}, (_, index) => one(TENANTS[index % TENANTS.length] ?? '')));
	const took = performance.now() - started;
	await pool.close();
	const halves = [...answered.values()].map((times) => times[Math.floor(times.length / 2)] ?? 0);
	return {perSecond: (runs / took) * 1e3, failed, unfair: Math.max(...halves) / Math.min(...halves)};
}
