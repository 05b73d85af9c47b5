/** The attacks that are programs, from the battery of test/attack, against one contender; its data, its canaries and its judge. */

import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {createGroup, findCgroups, type Group} from '#sandbox/process/cgroup.ts';
import {type Planted, plant} from '../../test/attack/canaries.ts';
import {type Case, isApplicable, type Payload} from '../../test/attack/case.ts';
import {CASES} from '../../test/attack/cases.ts';
import {leaks, objections} from '../../test/attack/judge.ts';
import {marked} from '../../test/attack/leftovers.ts';
import {asProgram} from '../../test/attack/program.ts';
import {fillIn} from '../../test/attack/subject.ts';
import {parquet} from '../../test/fixtures/make-files.ts';
import {BEGUN, type Bound, type Contender, type Ending, type Language, MIB, type Place, ROOT, type Runner} from './contender.ts';
import {asModule, JAVASCRIPT} from './javascript-attacks.ts';

export type Score = {
	readonly contained: number;
	readonly tried: number;
	/** of each attack that was not contained, why */
	readonly escapes: readonly {readonly id: string; readonly title: string; readonly reason: string}[];
};

/** What keeps this machine alive; more than the limits of those inside that have any, and soon reached by the others. */
const SHIELD = {memoryBytes: 384 * MIB, scratchBytes: 0, cpus: 1, processes: 160, openFiles: 1_024, outputBytes: MIB};
const WALL_MS = 2_000;
const SCRATCH_MIB = 48;
/** of one battery, so that it ends by itself and cleans up */
const LIMIT_MS = 400_000;

type Program = Payload & {readonly kind: 'python' | 'wild'};

function programsOf({code}: Case): readonly Program[] {
	return isApplicable(code)
		? code.filter((payload): payload is Program => payload.kind === 'python' || payload.kind === 'wild')
		: [];
}

/** Every case that has a program in this language. */
export function casesIn(language: Language): readonly Case[] {
	return (language === 'python' ? CASES : JAVASCRIPT).filter((each) => programsOf(each).length > 0);
}

/** Needs root, and a network of its own in which every address is this machine's: see side-by-side.ts. */
export async function attackContender(contender: Contender, language: Language, share: number): Promise<Score> {
	await using planted = await plant(true);
	const field = await createField(contender, language, planted);
	const escapes: Score['escapes'][number][] = [];
	const cases = casesIn(language).filter((_, index) => index % share === 0);
	try {
		await field.prove();
		for (const each of cases) {
			if (performance.now() > LIMIT_MS) throw new Error(`it was not done after ${LIMIT_MS / 1_000} s`);
			const reasons: string[] = [];
			for (const payload of programsOf(each)) reasons.push(...(await field.attempt(payload)));
			if (reasons.length > 0) escapes.push({id: each.id, title: each.title, reason: String(reasons[0]).slice(0, 300)});
		}
	} finally {
		await field.close();
	}
	return {contained: cases.length - escapes.length, tried: cases.length, escapes};
}

async function createField(contender: Contender, language: Language, planted: Planted) {
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-compare-'));
	const facts = await layOut(directory, planted);
	const state = {serial: 0, arena: await openArena(contender, {language, directory, serial: 0})};
	const renew = async () => {
		await state.arena.close();
		state.serial += 1;
		state.arena = await openArena(contender, {language, directory, serial: state.serial});
	};
	const play = async (code: string): Promise<Ending> => {
		const {runner} = state.arena;
		const text = fillIn(programIn(language, code, runner.warm !== undefined), {...facts, ...runner.facts});
		const ending = await (runner.warm ?? runner.cold)(text);
		return runner.warm || ending.output.includes(BEGUN) ? ending : {...ending, code: `it never began: ${ending.code}`};
	};
	return {
		/** An honest program works here, so what fails was contained and not merely broken. */
		async prove() {
			const {output, code} = await play(language === 'python' ? 'tell(6 * 7000)' : 'tell(6 * 7000);');
			if (!output.includes('42000'))
				throw new Error(`${contender.name} does not run an honest program: ${code} ${output.slice(0, 500)}`);
		},
		async attempt(payload: Program): Promise<readonly string[]> {
			const ending = settle(await play(payload.code), payload, state.arena);
			const done = {payload, ...ending};
			const reasons = [...objections(done, planted, false), ...leaks({done: [done], record: ''}, planted), ...planted.contacts()];
			reasons.push(...planted.changes().map((name) => `${name} changed`), ...(await orphans(facts.MARK ?? '')));
			// A sandbox of Writ's is of one run only; what waits beside it was not touched.
			if (!state.arena.runner.warm && (payload.kind === 'wild' || state.arena.isWorn())) await renew();
			return reasons;
		},
		async close() {
			await state.arena.close();
			for (const each of [directory, '/dev/shm/writ-attack-covert']) rmSync(each, {recursive: true, force: true});
		},
	};
}

function programIn(language: Language, code: string, isWrit: boolean): string {
	if (language === 'javascript') return asModule(code, !isWrit);
	if (isWrit) return asProgram(code, (text) => text);
	const imports = /\b(?:pd|np|dfs)\b/.test(code) ? IMPORTS : '';
	const given = `${imports}print("${BEGUN}", flush=True)\n`;
	return `${given}${asProgram(code, (text) => text)}\nprint(result)\n`;
}

/** What a program of the battery finds, where it uses it. */
const IMPORTS = `try:
    import numpy as np, pandas as pd
    dfs = {"sales": pd.read_parquet("@DATA@/sales.parquet")}
except Exception: pass
`;

/** What a contender's scratch is made of here would run full on any machine; that it did is no merit of the contender's. */
function settle({code, ...ending}: Ending, {kind}: Program, {hasFullScratch}: Arena): Ending {
	if (kind === 'wild' && hasFullScratch()) return {...ending, code: 'only the bound around it stopped it: the disk'};
	// The judge knows how Python fails; JavaScript fails no worse.
	return {...ending, code: code === 'javascript_execution_error' ? 'python_execution_error' : code};
}

async function layOut(directory: string, planted: Planted): Promise<Readonly<Record<string, string>>> {
	const [data, other] = [path.join(directory, 'data'), path.join(directory, 'other')];
	spawnSync('chmod', ['0755', directory]);
	for (const each of [data, other]) mkdirSync(each);
	writeFileSync(path.join(data, 'sales.parquet'), await parquet('SELECT range AS id, range * 3 AS amount FROM range(500)'));
	writeFileSync(path.join(other, 'secrets.parquet'), await parquet(`SELECT 1 AS id, '${planted.values.tenant}' AS word`));
	const database = path.join(directory, 'writ.db');
	writeFileSync(database, '');
	return {
		...planted.facts,
		...{
			DATASET: 'planted',
			DATADIR: directory,
			OTHERDIR: other,
			SIBLING: other,
			PLATFORMDB: database,
			ROOT,
			NODE: process.execPath,
		},
		...{FORKS: '48', MARK: `writ-orphan-${process.pid}`},
	};
}

type Arena = {
	readonly runner: Runner;
	/** something of it was used up */
	isWorn(): boolean;
	/** its scratch, where that is ours, has no room left */
	hasFullScratch(): boolean;
	close(): Promise<void>;
};

/** A contender in a bound of its own. */
async function openArena(
	contender: Contender,
	{language, directory, serial}: {language: Language; directory: string; serial: number},
): Promise<Arena> {
	const scratch = path.join(directory, `scratch-${serial}`);
	mkdirSync(scratch);
	mount(['-t', 'tmpfs', '-o', `size=${SCRATCH_MIB}m,nr_inodes=20000,mode=1777`, 'writ', scratch]);
	const {bound, group} = createBound(serial);
	const place: Place = {data: path.join(directory, 'data'), scratch, wallMs: WALL_MS, bound};
	const runner = await contender.open(place, language);
	await runner.rested();
	return {
		runner,
		isWorn: () => bound.spent().length > 0,
		hasFullScratch: () => freeBytes(scratch) < 2 * MIB,
		async close() {
			await runner.close();
			group.kill();
			await group.remove();
			spawnSync('umount', ['-l', scratch]);
		},
	};
}

function mount(args: readonly string[]): void {
	const {status, stderr} = spawnSync('mount', args, {encoding: 'utf8'});
	if (status !== 0) throw new Error(`the bound cannot be made: ${stderr}`);
}

/** At the root of the hierarchies, where an engine puts its containers too. */
function createBound(serial: number): {readonly bound: Bound; readonly group: Group} {
	const self = path.join(tmpdir(), `writ-compare-self-${process.pid}`);
	writeFileSync(self, '1:memory,cpu,pids,cpuacct:/\n');
	const host = findCgroups('/sys/fs/cgroup', self);
	rmSync(self);
	if ('none' in host) throw new Error(`attacks need control groups around them: ${host.none}`);
	const group = createGroup(host, 2_000_000 + serial, {...SHIELD, wallMs: WALL_MS});
	// It is to bound, not to hold back: what starts slowly looks contained.
	for (const [file, share] of [
		['cpu.shares', '1024'],
		['cpu.weight', '100'],
	] as const)
		for (const directory of group.joinFiles.map((each) => path.dirname(each)))
			if (existsSync(path.join(directory, file))) writeFileSync(path.join(directory, file), share);
	const directories = group.joinFiles.map((file) => path.dirname(file));
	const read = (name: string) => Math.max(0, ...directories.flatMap((each) => numberIn(path.join(each, name))));
	const spent = () => [
		...((group.usage().peakMemoryBytes ?? 0) > 0.97 * SHIELD.memoryBytes ? ['memory'] : []),
		...(read('pids.peak') >= SHIELD.processes ? ['processes'] : []),
		...group.exceeded(),
	];
	return {group, bound: {joinFiles: group.joinFiles, parent: `/${path.basename(directories[0] ?? '')}`, spent}};
}

function numberIn(file: string): number[] {
	try {
		return [Number(readFileSync(file, 'utf8'))];
	} catch {
		return []; // not every kernel keeps it, and one group of several has it
	}
}

function freeBytes(directory: string): number {
	const {stdout} = spawnSync('stat', ['-f', '-c', '%a %S', directory], {encoding: 'utf8'});
	const [blocks = Number.NaN, size = Number.NaN] = stdout.trim().split(' ').map(Number);
	return blocks * size;
}

/** The kernel takes a moment to end what was killed. */
async function orphans(mark: string): Promise<readonly string[]> {
	for (let tries = 0; tries < 40 && marked(mark).length > 0; tries += 1) await new Promise((resolve) => setTimeout(resolve, 25));
	const left = marked(mark);
	for (const pid of left) process.kill(Number(pid), 'SIGKILL');
	return left.map((pid) => `process ${pid} was left`);
}
