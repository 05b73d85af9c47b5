/** How soon a server with data serves, and what it holds in memory when it has nothing to do. */
import {cpSync, existsSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {ingestedSamples, startWrit} from '../test/server.ts';
import {type Bench, figure, report} from './harness.ts';

const MIB = 2 ** 20;
/** for the pool to fill and the garbage of the start to be collected */
const SETTLE_MS = 5_000;

await report(async (bench) => {
	const runs = bench.quick ? 3 : 15;
	const starts: number[] = [];
	for (let run = 0; run < runs; run += 1) starts.push(await startOnce(bench, {WRIT_POOL_SIZE: '2'}));
	return [
		figure({name: 'start to ready', unit: 'ms', samples: starts, target: {of: 'p50', atMost: 700}}),
		figure({
			name: 'idle server, without pool',
			unit: 'MiB',
			samples: [await idleMemory(bench, '0')],
			target: {of: 'p50', atMost: 150},
		}),
		figure({name: 'idle server, beside a full pool', unit: 'MiB', samples: [await idleMemory(bench, '2')]}),
	];
});

async function startOnce(bench: Bench, env: Readonly<Record<string, string>>): Promise<number> {
	const dataDir = await ownData(bench);
	const begin = performance.now();
	const writ = await startWrit(bench, {dataDir, env: {...env, LOG_LEVEL: 'info'}});
	const took = performance.now() - begin;
	await writ.stop();
	return took;
}

/** The resident memory of the server's own process, which is the platform without its sandboxes. */
async function idleMemory(bench: Bench, poolSize: string): Promise<number> {
	const writ = await startWrit(bench, {dataDir: await ownData(bench), env: {WRIT_POOL_SIZE: poolSize}});
	await delay(SETTLE_MS);
	const status = readFileSync(`/proc/${writ.pid}/status`, 'utf8');
	await writ.stop();
	return (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024) / MIB;
}

/** One copy of the samples, started again and again as a person's is. */
async function ownData(bench: Bench): Promise<string> {
	const dataDir = path.join(bench.dir, 'data');
	if (!existsSync(dataDir)) cpSync(await ingestedSamples(), dataDir, {recursive: true});
	return dataDir;
}
