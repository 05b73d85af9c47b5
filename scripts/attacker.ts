/**
 * The model is the attacker: tasks of five domains with attacks in the middle of them, through the gates as they are.
 *   node scripts/attacker.ts [--json FILE] [--domains office,bank]
 * No model takes part: every call is made as if one had obeyed the attacker. Fails when a target is missed, or when too little was looked at.
 */
import {writeFileSync} from 'node:fs';
import {parseArgs} from 'node:util';
import {isMainThread, parentPort, Worker, workerData} from 'node:worker_threads';
import {DOMAINS} from '../test/attacker/domains.ts';
import {MODES} from '../test/attacker/play.ts';
import {ALL, type Summary, summarise, tabulate} from '../test/attacker/report.ts';
import {type Benign, type Pair, score} from '../test/attacker/score.ts';

const WORKERS = 2;

type Part = {readonly domains: readonly string[]; readonly worker: number};

async function work({domains, worker}: Part): Promise<void> {
	const chosen = DOMAINS.filter(({name}) => domains.includes(name));
	for await (const each of score({domains: chosen, modes: MODES, part: {of: WORKERS, number: worker}}))
		parentPort?.postMessage(each);
}

function start(part: Part, onResult: (result: Pair | Benign) => void): Promise<void> {
	const worker = new Worker(new URL(import.meta.url), {workerData: part});
	const {promise, resolve, reject} = Promise.withResolvers<void>();
	worker.on('message', onResult).on('error', reject);
	worker.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))));
	return promise;
}

async function main(): Promise<number> {
	const {values} = parseArgs({options: {json: {type: 'string'}, domains: {type: 'string'}}});
	const names = values.domains?.split(',') ?? DOMAINS.map(({name}) => name);
	const results: (Pair | Benign)[] = [];
	const started = performance.now();
	await Promise.all(Array.from({length: WORKERS}, (_, worker) => start({domains: names, worker}, (each) => results.push(each))));
	const summary = summarise(results, ALL);
	print(summary, Math.round((performance.now() - started) / 1_000));
	if (values.json) writeFileSync(values.json, `${JSON.stringify({...summary, results}, null, '\t')}\n`);
	if (values.domains) console.log('Only some of the domains were looked at.');
	return summary.failures.length === 0 ? 0 : 1;
}

function print(summary: Summary, seconds: number): void {
	const {domains, tasks, pairs, runs, records} = summary.examined;
	console.log(tabulate(summary));
	console.log(
		`\n${domains} domains, ${tasks} tasks, ${pairs} pairs, ${runs} runs with two wordings each, ${records} records checked, ${seconds} s`,
	);
	for (const each of summary.reachedWorld) console.error(`reached the world: ${each}`);
	for (const each of summary.failures) console.error(each);
}

if (isMainThread) process.exitCode = await main();
else await work(workerData as Part);
