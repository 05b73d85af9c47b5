/** Start-up, throughput and memory of the contenders, in turn and in one process. */
import {readdirSync, readFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {setTimeout as delay} from 'node:timers/promises';
import {quantile, round, timed} from '../harness.ts';
import {type Contender, type Ending, type Language, MIB, type Place, type Runner} from './contender.ts';

export const AT_ONCE = availableParallelism();

export type Span = {readonly p50: number; readonly p95: number; readonly p99: number; readonly runs: number};
export type Times = {readonly warm: Span | null; readonly cold: Span | null; readonly failed: number; readonly tried: number};
export type Rate = {readonly perSecond: number; readonly runs: number; readonly failed: number};

/** The same for everybody: it prints, assigns and exports. */
const WORK: Readonly<Record<Language, string>> = {
	python: 'result = 6 * 7\nprint(result)\n',
	javascript: 'const result = 6 * 7;\nconsole.log(result);\nexport default result;\n',
};

type Lane = {
	readonly of: string;
	readonly kind: 'warm' | 'cold';
	readonly run: (code: string) => Promise<Ending>;
	readonly runner: Runner;
	readonly ms: number[];
	readonly failures: string[];
};

type Rounds = {
	readonly language: Language;
	readonly place: Place;
	readonly runs: number;
	readonly warmUp: number;
	readonly maxMs: number;
};

/** Every way to start every contender, one after the other, round after round; a rest before each. Fewer rounds when time is over. */
export async function measureStarts(
	contenders: readonly Contender[],
	{language, place, runs, warmUp, maxMs}: Rounds,
): Promise<ReadonlyMap<string, Times>> {
	const lanes: Lane[] = [];
	for (const contender of contenders) lanes.push(...lanesOf(contender, await contender.open(place, language), language));
	const begin = performance.now();
	for (let run = -warmUp; run < runs && performance.now() - begin < maxMs; run += 1)
		for (const lane of lanes) await startOnce(lane, language, run >= 0);
	for (const runner of new Set(lanes.map((lane) => lane.runner))) await runner.close();
	return new Map(contenders.map(({name}) => [name, timesOf(lanes.filter(({of}) => of === name))]));
}

function lanesOf({name, coldIn}: Contender, runner: Runner, language: Language): readonly Lane[] {
	const lane = (kind: Lane['kind'], run: Lane['run']) => ({of: name, kind, run, runner, ms: [], failures: []});
	const warm = runner.warm ? [lane('warm', runner.warm)] : [];
	return [...warm, ...(coldIn.includes(language) ? [lane('cold', runner.cold)] : [])];
}

async function startOnce({run, runner, ms, failures}: Lane, language: Language, isKept: boolean): Promise<void> {
	await runner.rested();
	const end: {failure: string | null} = {failure: null};
	const took = await timed(async () => {
		end.failure = failureOf(await run(WORK[language]));
	});
	if (!isKept) return;
	if (end.failure === null) ms.push(took);
	else failures.push(end.failure);
}

function failureOf({outcome, code, output}: Ending): string | null {
	return outcome === 'succeeded' && output.includes('42') ? null : `${code} ${output.slice(0, 300)}`;
}

function timesOf(lanes: readonly Lane[]): Times {
	const failures = lanes.flatMap((lane) => lane.failures);
	if (failures[0] !== undefined) process.stderr.write(`${lanes[0]?.of}: ${failures[0]}\n`);
	const spanFor = (wanted: Lane['kind']) => spanOf(lanes.find(({kind}) => kind === wanted)?.ms ?? []);
	const [warm, cold] = [spanFor('warm'), spanFor('cold')];
	return {warm, cold, failed: failures.length, tried: failures.length + (warm?.runs ?? 0) + (cold?.runs ?? 0)};
}

function spanOf(ms: readonly number[]): Span | null {
	if (ms.length === 0) return null;
	const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => round(quantile(ms, share))) as [number, number, number];
	return {p50, p95, p99, runs: ms.length};
}

/** As many at once as there are processors, until it was long or often enough. */
export async function measureRate(
	contender: Contender,
	{language, place, ms, runs}: {language: Language; place: Place; ms: number; runs: number},
): Promise<Rate> {
	const runner = await contender.open(place, language);
	const run = runner.warm ?? runner.cold;
	await run(WORK[language]);
	await runner.rested();
	const state = {started: 0, failed: 0};
	const begin = performance.now();
	const lane = async () => {
		while (state.started < runs && performance.now() - begin < ms) {
			state.started += 1;
			if (failureOf(await run(WORK[language])) !== null) state.failed += 1;
		}
	};
	await Promise.all(Array.from({length: AT_ONCE}, lane));
	const seconds = (performance.now() - begin) / 1_000;
	await runner.rested();
	await runner.close();
	return {perSecond: round((state.started - state.failed) / seconds), runs: state.started, failed: state.failed};
}

const WAITING = 4;

/** What one more sandbox that waits costs; shared pages count in parts. Null where nothing waits. */
export async function measureIdle({idle}: Contender, language: Language): Promise<number | null> {
	if (!idle) return null;
	const {more, close} = await idle(language);
	await delay(SETTLE_MS);
	const before = new Set(processes());
	for (let each = 0; each < WAITING; each += 1) await more();
	await delay(SETTLE_MS);
	const bytes = processes()
		.filter((pid) => !before.has(pid) && isOfSandbox(pid))
		.reduce((sum, pid) => sum + residentShare(pid), 0);
	await close();
	return round(bytes / WAITING / MIB);
}

const SETTLE_MS = 500;

function processes(): readonly string[] {
	return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

/** Ours, or below what an engine starts for each container. */
function isOfSandbox(pid: string): boolean {
	if (pid === String(process.pid)) return true;
	const stat = read(`/proc/${pid}/stat`);
	if (stat === '') return false;
	if (/^\d+ \(containerd-shim/.test(stat)) return true;
	const parent = /\) \S+ (\d+)/.exec(stat)?.[1] ?? '0';
	return parent !== '0' && parent !== '1' && isOfSandbox(parent);
}

function residentShare(pid: string): number {
	return Number(/^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1_024;
}

function read(file: string): string {
	try {
		return readFileSync(file, 'utf8');
	} catch {
		return ''; // it ended since it was listed
	}
}
