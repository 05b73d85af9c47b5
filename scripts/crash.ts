/**
 * Crashes at every durable write of the reference workflows, and seeded histories of workers that lose messages and die.
 *   node scripts/crash.ts [--only matrix|simulation] [--store sqlite|postgres|memory]… [--scenario NAME]… [--workers 2]
 *                         [--seeds 1200] [--from 1] [--seed N] [--no-doubles] [--json]
 * PostgreSQL is that of DATABASE_URL, or a throw-away one. Exits with 1 for every fault found, for a crash that was not reached, for a
 * defence whose absence is not noticed, and when less was examined than there is; `--seed N` lives one history again.
 */
import {execFileSync} from 'node:child_process';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {type Column, crashEverywhere, type Provider, postgres, show, sqlite} from '../test/crash/matrix.ts';
import {SCENARIOS} from '../test/crash/scenarios.ts';
import {type Simulated, STORES, simulateMany, survivors} from '../test/crash/simulations.ts';

const PROGRAM = path.join(import.meta.dirname, 'postgres.sh');
const {values} = parseArgs({
	options: {
		only: {type: 'string', multiple: true, default: ['matrix', 'simulation']},
		store: {type: 'string', multiple: true, default: ['sqlite', 'postgres', 'memory']},
		scenario: {type: 'string', multiple: true, default: SCENARIOS.map(({name}) => name)},
		workers: {type: 'string', default: '2'},
		seeds: {type: 'string', default: '1200'},
		from: {type: 'string', default: '1'},
		seed: {type: 'string'},
		doubles: {type: 'boolean', default: true},
		json: {type: 'boolean', default: false},
	},
	allowNegative: true,
});
/** Told at once: the whole takes long. */
const problems = {
	count: 0,
	push(...found: readonly string[]) {
		problems.count += found.length;
		for (const problem of found) process.stderr.write(`${problem}\n`);
	},
};
const say = (text: string) => void (values.json || process.stdout.write(`${text}\n`));
const database = values.store.includes('postgres') ? openDatabase() : null;
try {
	const scenarios = SCENARIOS.filter(({name}) => values.scenario.includes(name));
	if (values.only.includes('matrix') && values.seed === undefined) await matrix(scenarios);
	if (values.only.includes('simulation')) await simulations();
} finally {
	database?.stop();
}
if (problems.count > 0) process.exitCode = 1;

async function matrix(scenarios: typeof SCENARIOS): Promise<void> {
	const providers: readonly Provider[] = [
		...(values.store.includes('sqlite') ? [sqlite] : []),
		...(database ? [postgres(database.url)] : []),
	];
	// What is in files is the same whatever the store.
	const jobs = providers.flatMap((provider) =>
		scenarios.filter(({files}) => files === undefined || provider === sqlite).map((scenario) => ({provider, scenario})),
	);
	if (jobs.length === 0) problems.push('no scenario was lived');
	const columns: Column[] = [];
	const work = async () => {
		for (let job = jobs.shift(); job; job = jobs.shift()) {
			const column = await crashEverywhere(job.scenario, {provider: job.provider, doubles: values.doubles});
			columns.push(column);
			tell(column);
		}
	};
	await Promise.all(Array.from({length: Number(values.workers)}, work));
	const crashes = columns.flatMap((column) => column.crashes);
	const doubles = crashes.filter(({at}) => at.length > 1).length;
	say(`${columns.length} scenarios, ${crashes.length - doubles} crashes and ${doubles} of the recovery from one`);
	if (values.doubles && doubles === 0) problems.push('no recovery was crashed');
}

function tell({scenario, store, writes, crashes, missed}: Column): void {
	const found = crashes.filter(({report}) => report.faults.length > 0);
	const doubles = crashes.filter(({at}) => at.length > 1).length;
	const counts = {writes: writes.length, crashes: crashes.length - doubles, doubles};
	const unknown = crashes.filter(({report}) => report.unknown > 0).length;
	if (values.json)
		console.log(JSON.stringify({kind: 'matrix', scenario, store, ...counts, unknown, faults: found.length, missed}));
	say(
		`${store.padEnd(9)} ${scenario.padEnd(48)} ${counts.writes} writes, ${counts.crashes} + ${doubles} crashes, ${unknown} left unknown, ${found.length} faults`,
	);
	for (const {at, label, report} of found)
		problems.push(`${store}, ${scenario}, ${show(at)} (${label}): ${report.faults.join('; ')}`);
	problems.push(...missed.map((each) => `${store}, ${scenario}: ${each}`));
	if (crashes.length < 2 * writes.length)
		problems.push(`${store}, ${scenario}: ${crashes.length} crashes of ${2 * writes.length}`);
}

async function simulations(): Promise<void> {
	const [first, count] = values.seed === undefined ? [Number(values.from), Number(values.seeds)] : [Number(values.seed), 1];
	for (const name of STORES.filter((each) => values.store.includes(each))) {
		const found = await simulateMany({name, url: database?.url}, {first, count, mutant: null});
		report(name, found, count);
	}
	if (values.seed !== undefined) return;
	for (const {mutant, caught, seeds} of await survivors(first)) {
		if (values.json) console.log(JSON.stringify({kind: 'mutant', mutant, caught, seeds}));
		say(`without ${mutant.padEnd(12)} ${caught} of ${seeds} histories go wrong, and that is found`);
		if (caught === 0) problems.push(`without ${mutant} nothing was found: the simulation is blind to it`);
	}
}

function report(name: string, {histories, faults, unmet, tally, seconds}: Simulated, count: number): void {
	if (values.json)
		console.log(JSON.stringify({kind: 'simulation', store: name, histories, faults: faults.length, tally, seconds}));
	say(
		`${name.padEnd(9)} seeds ${values.seed ?? values.from} to ${Number(values.seed ?? values.from) + histories - 1}: ${histories} histories in ${seconds.toFixed(0)} s, ${faults.length} faults; ${JSON.stringify(tally)}`,
	);
	problems.push(...faults.map((fault) => `${name}, --seed ${fault}`));
	if (histories < count) problems.push(`${name}: ${histories} histories of ${count}`);
	if (values.seed === undefined) problems.push(...unmet.map((what) => `${name}: in no history was there anything ${what}`));
}

/** The server of the environment, or one that is there for as long as this runs. */
function openDatabase(): {readonly url: string; stop(): void} {
	const given = process.env.DATABASE_URL;
	if (given) return {url: given, stop: () => {}};
	const said = execFileSync(PROGRAM, ['start'], {encoding: 'utf8'});
	const [, url = ''] = /^DATABASE_URL=(.*)$/m.exec(said) ?? [];
	const [, dir = ''] = /^PGDIR=(.*)$/m.exec(said) ?? [];
	return {url, stop: () => void execFileSync(PROGRAM, ['stop', dir], {stdio: 'ignore'})};
}
