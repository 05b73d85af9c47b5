/** A count over HTTP, with a sandbox waiting and without one, and how long `/healthz` takes while sandboxes work hard. */
import {setTimeout as delay} from 'node:timers/promises';
import {startWrit, type Writ} from '../test/server.ts';
import {type Bench, type Figure, figure, report, timed} from './harness.ts';

const COUNT = 'SQL: SELECT count(*) AS n FROM tickets';
const WARM_MS = 25;
const COLD_MS = 450;
const HEALTH_MS = 20;
const HEAVY = 8;
/** long enough to be at work until it is stopped */
const HEAVY_QUERY = 'SQL: SELECT sum(a.range * b.range % 7) FROM range(1000000) a, range(10000000) b';

await report(async (bench) => [
	await measureCount(bench, {name: 'count over HTTP, warm', poolSize: 2, atMost: WARM_MS}),
	await measureCount(bench, {name: 'count over HTTP, cold pool', poolSize: 0, atMost: COLD_MS}),
	await measureHealth(bench),
]);

type Case = {readonly name: string; readonly poolSize: number; readonly atMost: number};

async function measureCount(bench: Bench, {name, poolSize, atMost}: Case): Promise<Figure> {
	const writ = await startWrit(bench, {env: {WRIT_POOL_SIZE: String(poolSize), LOG_LEVEL: 'info'}});
	const [warmUp, runs] = bench.quick ? [3, 12] : [10, 100];
	const samples: number[] = [];
	for (let run = -warmUp; run < runs; run += 1) {
		await rested(writ, poolSize);
		const took = await timed(async () => {
			const {status, result} = await writ.ask(COUNT);
			if (status !== 'succeeded' || result.rows[0]?.[0] !== 6_417) throw new Error(`the count is ${JSON.stringify(result)}`);
		});
		if (run >= 0) samples.push(took);
	}
	await writ.stop();
	return figure({name, unit: 'ms', samples, target: {of: 'p50', atMost}});
}

/** Questions of a person come with pauses in which the pool fills up again: so many for each of the three datasets. */
async function rested(writ: Writ, poolSize: number): Promise<void> {
	for (const end = Date.now() + 20_000; Date.now() < end; await delay(20)) {
		const {body} = await writ.get<{components: {name: string; facts?: {idle?: number}}[]}>('/readyz');
		if ((body.components.find(({name}) => name === 'sandbox')?.facts?.idle ?? 0) >= 3 * poolSize) return;
	}
	throw new Error('the pool did not fill up');
}

async function measureHealth(bench: Bench): Promise<Figure> {
	const writ = await startWrit(bench, {env: {WRIT_MAX_SANDBOXES: String(HEAVY), RUN_TIMEOUT_SECONDS: '60', LOG_LEVEL: 'info'}});
	await rested(writ, 2);
	const idle = await probe(writ, bench.quick ? 50 : 300);
	const stop = new AbortController();
	const body = JSON.stringify({dataset_id: 'support', message: HEAVY_QUERY});
	const init = {method: 'POST', headers: {'content-type': 'application/json'}, body, signal: stop.signal};
	const heavy = Array.from({length: HEAVY}, () => writ.request('/chat', init).catch(() => null));
	while (!/^writ_sandboxes\{.*state="busy"\} 8$/m.test(await (await writ.request('/metrics')).text())) await delay(50);
	const samples = await probe(writ, bench.quick ? 100 : 1_000);
	stop.abort();
	await Promise.all(heavy);
	await writ.stop();
	const name = `/healthz while ${HEAVY} heavy queries run (baseline: idle)`;
	return figure({name, unit: 'ms', samples, baseline: idle, target: {of: 'p99', atMost: HEALTH_MS}});
}

async function probe(writ: Writ, runs: number): Promise<number[]> {
	const samples: number[] = [];
	for (let run = 0; run < runs; run += 1) {
		samples.push(await timed(async () => (await writ.request('/healthz')).text()));
		await delay(5);
	}
	return samples;
}
