/**
 * Crashes at every durable write of a scenario, and crashes of the recovery from each at every durable write of that. The state
 * before a write is that after the one before it, so a second crash follows those first ones that come just after an event was written.
 */

import {spawn} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import pg from 'pg';
import {ingestedSamples, ROOT} from '../server.ts';
import type {Report} from './examine.ts';
import {POLICY_FILE, RULES_FILE, type Scenario} from './scenarios.ts';

export type Point = {readonly when: 'before' | 'after'; readonly write: number};

export type Crash = {
	readonly scenario: string;
	readonly store: string;
	/** the first in the scenario, the second, if any, in the recovery */
	readonly at: readonly Point[];
	/** what was written at the point of the last of them */
	readonly label: string;
	readonly report: Report;
};

export type Column = {
	readonly scenario: string;
	readonly store: string;
	/** what the scenario writes, one after the other */
	readonly writes: readonly string[];
	readonly crashes: readonly Crash[];
	/** points that no process reached, or scenarios that did not go as they should without a crash */
	readonly missed: readonly string[];
};

type Env = Readonly<Record<string, string>>;

/** Where the state of one subject is: what a crash leaves, and what happened outside. */
type Home = {readonly env: Env; readonly outside: string; copy(): Promise<Home>; remove(): Promise<void>};

export type Provider = {readonly name: 'sqlite' | 'postgres'; home(): Promise<Home>};

export type Plan = {readonly provider: Provider; readonly doubles: boolean; readonly only?: (point: Point) => boolean};

/** A run is taken over: what comes after a crash then is what comes after the write before it. */
const CLAIM = 'claim';
/** Milliseconds after which a restart comes: later than any lease. */
const RESTART_MS = 20_000;
/** A process that takes longer hangs. */
const PATIENCE_MS = 180_000;

export async function crashEverywhere(scenario: Scenario, plan: Plan): Promise<Column> {
	const calm = await prepare(scenario, plan.provider);
	const lived = await run(scenario, calm, {doing: 'live', restarts: 0});
	const missed = lived.end === 0 ? [] : [`without a crash it ended with ${lived.end}: ${lived.err}`];
	for (const fault of lived.end === 0 ? (await look(scenario, calm, 1)).report.faults : [])
		missed.push(`without a crash: ${fault}`);
	const {writes} = lived;
	if (writes.length < scenario.writes) missed.push(`it wrote ${writes.length} times, and ${scenario.writes} were expected`);
	const crashes: Crash[] = [];
	for (const at of pointsOf(writes.length).filter(plan.only ?? (() => true))) {
		const from = {...plan, calm, label: writes[at.write - 1] ?? ''};
		const found = await crashAt(scenario, at, from);
		crashes.push(...found.crashes);
		missed.push(...found.missed);
	}
	await calm.remove();
	return {scenario: scenario.name, store: plan.provider.name, writes, crashes, missed};
}

type From = Plan & {readonly calm: Home; readonly label: string};

/** One crash, and all that can follow it. */
async function crashAt(
	scenario: Scenario,
	at: Point,
	{provider, doubles, calm, label}: From,
): Promise<Pick<Column, 'crashes' | 'missed'>> {
	const facts = {scenario: scenario.name, store: provider.name};
	const home = await prepare(scenario, provider, calm);
	const died = await run(scenario, home, {doing: 'live', restarts: 0, at});
	if (died.end !== 'SIGKILL') {
		await home.remove();
		return {crashes: [], missed: [`${show([at])} was not reached: ${died.end} ${died.err}`]};
	}
	const second = doubles && at.when === 'after' && label !== CLAIM ? await home.copy() : null;
	const {report, writes} = await look(scenario, home, 1);
	await home.remove();
	const crashes: Crash[] = [{...facts, at: [at], label, report}];
	const missed: string[] = [];
	for (const then of second ? pointsOf(writes.length) : []) {
		const again = await crashAgain(scenario, second as Home, then);
		if (again) crashes.push({...facts, at: [at, then], label: writes[then.write - 1] ?? '', report: again});
		else missed.push(`${show([at, then])} was not reached`);
	}
	await second?.remove();
	return {crashes, missed};
}

async function crashAgain(scenario: Scenario, from: Home, at: Point): Promise<Report | null> {
	const home = await from.copy();
	try {
		const died = await run(scenario, home, {doing: 'recover', restarts: 1, at});
		return died.end === 'SIGKILL' ? (await look(scenario, home, 2)).report : null;
	} finally {
		await home.remove();
	}
}

export function show(at: readonly Point[]): string {
	return at.map(({when, write}) => `${when} write ${write}`).join(', then in the recovery ');
}

function pointsOf(writes: number): readonly Point[] {
	return Array.from({length: writes}, (_, index) => index + 1).flatMap((write) => [
		{when: 'before', write} as const,
		{when: 'after', write} as const,
	]);
}

async function look(
	scenario: Scenario,
	home: Home,
	restarts: number,
): Promise<{readonly report: Report; readonly writes: readonly string[]}> {
	const {end, out, err, writes} = await run(scenario, home, {doing: 'examine', restarts});
	if (end === 0) return {report: JSON.parse(out) as Report, writes};
	const faults = [`the platform did not come back: ${end} ${err}`];
	return {report: {faults, runs: 0, events: 0, effects: 0, promises: 0, unknown: 0}, writes};
}

/** A fresh place, with what another has computed once and only that. */
async function prepare({rules, policy}: Scenario, provider: Provider, other?: Home): Promise<Home> {
	const home = await provider.home();
	const dir = home.env.WRIT_DATA_DIR ?? '';
	const known = path.join(other?.env.WRIT_DATA_DIR ?? '', 'cache');
	if (other && existsSync(known)) cpSync(known, path.join(dir, 'cache'), {recursive: true});
	if (rules !== undefined) writeFileSync(path.join(dir, RULES_FILE), rules);
	if (policy !== undefined) writeFileSync(path.join(dir, POLICY_FILE), policy);
	return home;
}

type Doing = {readonly doing: 'live' | 'recover' | 'examine'; readonly restarts: number; readonly at?: Point};
type Ran = {
	readonly end: number | NodeJS.Signals;
	readonly out: string;
	readonly err: string;
	readonly writes: readonly string[];
};

async function run(scenario: Scenario, home: Home, {doing, restarts, at}: Doing): Promise<Ran> {
	const {name, rules, policy, env = {}, files, lateMs = 0} = scenario;
	const dir = home.env.WRIT_DATA_DIR ?? '';
	const [log, armed] = ['writes', 'armed'].map((each) => path.join(home.outside, each)) as [string, string];
	for (const file of [log, armed]) rmSync(file, {force: true});
	const child = spawn(
		process.execPath,
		[
			...['--disable-warning=ExperimentalWarning', '--import', path.join(ROOT, 'test/fixtures/kill-at-commit.ts')],
			...[path.join(ROOT, 'test/crash/subject.ts'), doing, name],
		],
		{
			cwd: dir,
			stdio: ['ignore', 'pipe', 'pipe'],
			timeout: PATIENCE_MS,
			env: {
				...Object.fromEntries(['PATH', 'HOME', 'TMPDIR'].map((each) => [each, process.env[each] ?? ''])),
				...{NODE_COMPILE_CACHE: path.join(ROOT, 'node_modules/.cache/writ'), WRIT_POOL_SIZE: '0', LOG_LEVEL: 'error'},
				...{SANDBOX_PROVIDER: 'process', DATASETS_DIR: path.join(await ingestedSamples(), 'datasets')},
				...(policy === undefined ? {} : {WRIT_POLICY_FILE: path.join(dir, POLICY_FILE)}),
				...(policy === undefined && rules !== undefined ? {WRIT_POLICY_FILE: path.join(dir, RULES_FILE)} : {}),
				...{KILL_AT: at ? `${at.when}:${at.write}` : 'never:0', KILL_WHEN: armed, KILL_LOG: log},
				...(files === undefined ? {} : {KILL_FILES: files}),
				...{CRASH_ACCEPTED: path.join(home.outside, 'accepted'), CRASH_EFFECTS: path.join(home.outside, 'effects')},
				...{CLOCK_AHEAD: String(restarts === 0 ? 0 : lateMs + restarts * RESTART_MS)},
				...home.env,
				...env,
			},
		},
	);
	const said = {out: '', err: ''};
	child.stdout.on('data', (chunk) => (said.out += chunk));
	child.stderr.on('data', (chunk) => (said.err += chunk));
	const end = await new Promise<Ran['end']>((resolve) => child.once('close', (code, signal) => resolve(code ?? signal ?? 0)));
	const writes = existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : [];
	return {end, ...said, writes};
}

/** State in a directory, the store a file in it. */
export const sqlite: Provider = {name: 'sqlite', home: async () => inDirectory({}, () => Promise.resolve(null))};

/** The store is a database of its own on the server at `url`, which is copied as a directory is. */
export function postgres(url: string): Provider {
	const database = async (template: string | null): Promise<Database> => {
		const name = `crash_${randomUUID().replaceAll('-', '')}`;
		await execute(url, `CREATE DATABASE ${name} TEMPLATE ${template ?? 'template0'}`);
		const own = new URL(url);
		own.pathname = `/${name}`;
		return {
			env: {STORAGE_PROVIDER: 'postgres', DATABASE_URL: own.href},
			copy: () => database(name),
			remove: () => execute(url, `DROP DATABASE ${name} WITH (FORCE)`),
		};
	};
	return {
		name: 'postgres',
		async home() {
			const made = await database(null);
			return inDirectory(made.env, async () => made);
		},
	};
}

type Database = {readonly env: Env; copy(): Promise<Database>; remove(): Promise<void>};

async function inDirectory(env: Env, open: () => Promise<Database | null>, from?: string): Promise<Home> {
	const root = mkdtempSync(path.join(tmpdir(), 'writ-crash-'));
	const [data, outside] = [path.join(root, 'data'), path.join(root, 'outside')];
	for (const dir of [data, outside]) mkdirSync(dir);
	if (from !== undefined) cpSync(from, root, {recursive: true});
	const database = await open();
	return {
		env: {...env, WRIT_DATA_DIR: data},
		outside,
		async copy() {
			const made = await database?.copy();
			return inDirectory(made?.env ?? {}, async () => made ?? null, root);
		},
		async remove() {
			rmSync(root, {recursive: true, force: true});
			await database?.remove();
		},
	};
}

/** Copying a database takes that nobody is connected to it; whoever was killed a moment ago may still seem to be. */
async function execute(url: string, sql: string): Promise<void> {
	const client = new pg.Client({connectionString: url});
	await client.connect();
	try {
		for (let attempt = 1; ; attempt += 1) {
			try {
				await client.query(sql);
				return;
			} catch (error) {
				if ((error as {code?: string}).code !== '55006' || attempt === 100) throw error;
				await new Promise((resolve) => setTimeout(resolve, 50));
			}
		}
	} finally {
		await client.end();
	}
}
