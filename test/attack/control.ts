/**
 * The same payloads with the sandbox off: the same runners as children of a shell of root's, without a gate, a filter or a namespace
 * of their own. What keeps this machine alive is around all of them: a group with limits, and processes of their own to kill.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {DatabaseSync} from 'node:sqlite';
import type {Readable, Writable} from 'node:stream';
import type {Json} from '#contract/json.ts';
import {createFrameReader, encodeFrame} from '#sandbox/frames.ts';
import {type CgroupHost, createGroup, findCgroups} from '#sandbox/process/cgroup.ts';
import {parquet} from '../fixtures/make-files.ts';
import {ROOT} from '../server.ts';
import {appearances, ENV, type Planted} from './canaries.ts';
import type {Payload} from './case.ts';
import {asProgram} from './program.ts';
import {fillIn} from './subject.ts';

export type Control = AsyncDisposable & {
	/** Whether the payload did what it wanted, and how that shows; null when there is nothing that it could do here. */
	succeeds(payload: Payload): Promise<{readonly won: boolean; readonly how: string} | null>;
};

const WALL_MS = 3_000;
const SHIELD = {
	wallMs: WALL_MS,
	memoryBytes: 700 << 20,
	cpus: 1,
	processes: 160,
	openFiles: 256,
	scratchBytes: 64 << 20,
	outputBytes: 8 << 20,
};

export async function createControl(planted: Planted): Promise<Control> {
	const directory = `${planted.directory}-control`;
	const [data, scratch] = [path.join(directory, 'data'), path.join(directory, 'scratch')];
	for (const each of [data, scratch, path.join(directory, 'other')]) mkdirSync(each, {recursive: true});
	const tables = await plantTables(directory, planted);
	const shield = await raiseShield(scratch, planted);
	const facts: Facts = {
		...planted.facts,
		...{
			DATA: data,
			SCRATCH: scratch,
			PID: '1',
			OPENFD: '9',
			FORKS: '48',
			OTHERDIR: path.join(directory, 'other'),
			DATASET: 'planted',
			DATADIR: directory,
		},
		...{
			ROOT,
			NODE: process.execPath,
			MARK: `writ-orphan-${process.pid}`,
			SIBLING: path.join(directory, 'other-evil'),
			PLATFORMDB: path.join(directory, 'writ.db'),
		},
	};
	mkdirSync(facts.SIBLING as string);
	writeFileSync(path.join(facts.SIBLING as string, 'secret.csv'), `word\n${planted.values.file}\n`);
	new DatabaseSync(facts.PLATFORMDB as string).exec('CREATE TABLE events (id INT)');
	const cgroups = findCgroups();
	if ('none' in cgroups) throw new Error(`the control needs control groups: ${cgroups.none}`);
	const state = {serial: 1_000_000};
	const attempt = async (run: Run) => {
		state.serial += 1;
		return launch(run, {shield: shield.pid, cgroups, serial: state.serial});
	};
	const victim = path.join(data, 'victim.csv');
	return {
		async succeeds(payload) {
			const run = toRun(payload, facts, tables);
			if (run === null) return null;
			writeFileSync(victim, VICTIM);
			writeFileSync(path.join(data, 'sales.parquet'), tables.sales);
			rmSync(path.join(data, 'hard'), {force: true});
			const end = await attempt(run);
			const how = [
				...saidBy(end, planted),
				...doneBy(planted, facts.WATCH as string),
				...(readOr(victim) === VICTIM ? [] : ['the data changed']),
			];
			if (end.spent && payload.kind !== 'query') how.push(end.spent);
			if (payload.kind === 'refused' && end.answered) how.push('it was answered');
			return {won: how.length > 0, how: how.join(', ') || end.text.slice(0, 200)};
		},
		async [Symbol.asyncDispose]() {
			shield.end();
			rmSync(directory, {recursive: true, force: true});
		},
	};
}

const VICTIM = 'x\n1\n';

function readOr(file: string): string {
	return existsSync(file) ? readFileSync(file, 'utf8') : ''; // gone is changed
}

function saidBy({text}: End, {won, values}: Planted): readonly string[] {
	const canaries = Object.entries(values).filter(([, value]) => appearances(value).some((form) => text.includes(form)));
	return [...(text.includes(won) ? ['it broke out'] : []), ...canaries.map(([name]) => `the ${name} canary`)];
}

/** Who was contacted and what was written; all of it is put right again. */
function doneBy(planted: Planted, watched: string): readonly string[] {
	const [contact] = planted.contacts();
	const [change] = planted.changes();
	for (const name of readdirSync(watched)) rmSync(path.join(watched, name), {recursive: true, force: true});
	planted.changes();
	return [...(contact ? [contact] : []), ...(change ? [`${change} changed`] : [])];
}

/** The same tables that the platform holds, for everybody. */
async function plantTables(directory: string, {values}: Planted) {
	const sales = await parquet('SELECT range AS id, range * 3 AS amount FROM range(500)');
	writeFileSync(path.join(directory, 'other', 'secrets.parquet'), await parquet(`SELECT 1 AS id, '${values.tenant}' AS word`));
	const ledger = path.join(directory, 'entries.parquet');
	writeFileSync(ledger, await parquet(`SELECT 1 AS id, '${values.dataset}' AS word`));
	return {sales, ledger};
}

/** A process namespace with a decoy as its first process, and a small scratch: what payloads may break instead of this machine. */
async function raiseShield(scratch: string, {values, facts}: Planted): Promise<{readonly pid: number; end(): void}> {
	const script = 'mount -t tmpfs -o size=64m,nr_inodes=20000 writ "$1"; exec 9< "$2"; exec sleep 100000';
	const holder = spawn(
		'setpriv',
		[
			'--pdeathsig',
			'KILL',
			'--',
			'unshare',
			'--pid',
			'--fork',
			'--kill-child',
			'--mount',
			'--propagation',
			'private',
			'--mount-proc',
			'/bin/sh',
			'-c',
			script,
			'sh',
			scratch,
			String(facts.FILE),
		],
		{
			env: {[ENV]: values.environment, PATH: '/usr/sbin:/usr/bin:/sbin:/bin'},
			stdio: 'ignore',
		},
	);
	await once(holder, 'spawn');
	for (;;) {
		const children = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim();
		if (children !== '' && readFileSync(`/proc/${children}/comm`, 'utf8').trim() === 'sleep')
			return {pid: Number(children), end: () => void holder.kill('SIGKILL')};
		await new Promise((resolve) => setImmediate(resolve));
	}
}

type Facts = Readonly<Record<string, string>>;

type Run = {readonly command: readonly string[]; readonly request: unknown};

function toRun(payload: Payload, facts: Readonly<Record<string, string>>, {ledger}: {readonly ledger: string}): Run | null {
	const fill = (text: string) => fillIn(text, facts);
	const sql = (text: string): Run => ({
		command: [
			process.execPath,
			'--no-warnings',
			path.join(import.meta.dirname, 'open-sql.ts'),
			facts.DATA as string,
			facts.OTHERDIR as string,
			ledger,
		],
		request: {sql: fill(text)},
	});
	switch (payload.kind) {
		case 'refused':
		case 'bomb':
			return sql(payload.sql);
		case 'python':
		case 'wild':
			return pythonRun(asProgram(payload.code, fill), facts);
		case 'javascript':
			return {
				command: [process.execPath, '--input-type=module', '-e', `${fill(payload.code)}\nconsole.log(result)`],
				request: {},
			};
		case 'shell':
			return {command: ['/bin/sh', '-c', fill(payload.code)], request: {}};
		case 'propose':
			return proposedRun(payload.tool, payload.input, sql, fill);
		default:
			return null;
	}
}

function pythonRun(code: string, facts: Readonly<Record<string, string>>): Run {
	const python = path.join(ROOT, '.writ/python/bin/python3');
	const views = [{table: 'sales', path: path.join(facts.DATA as string, 'sales.parquet')}];
	const limits = JSON.stringify({limits: SHIELD, out: false});
	return {
		command: [python, '-I', '-B', path.join(ROOT, 'src/sandbox/runners/python.py'), limits],
		request: {kind: 'python', views, code, maxRows: 1_000, maxBytes: 1 << 20},
	};
}

/** What a tool would do if nobody asked whether it may: the careless version of the same. */
function proposedRun(
	tool: string,
	input: Readonly<Record<string, Json>>,
	sql: (text: string) => Run,
	fill: (text: string) => string,
): Run | null {
	const given = input as {dataset_id?: string; sql?: string; plan?: {table?: string}; files?: {path: string}[]; script?: string};
	const schema = given.dataset_id?.split('/').at(-1);
	const where = schema && schema !== '@DATASET@' && schema !== '__proto__' ? `USE ${schema}; ` : '';
	if (tool === 'analyst.sql' || tool === 'analyst.export') return sql(`${where}${given.sql}`);
	if (tool === 'analyst.query_plan') return sql(`${where}SELECT * FROM ${given.plan?.table}`);
	if (tool === 'analyst.get_dataset_schema') return sql(`SELECT * FROM duckdb_columns() WHERE schema_name = '${schema}'`);
	if (tool === 'dataset.add') return sql(`SELECT content FROM read_text('${given.files?.[0]?.path}')`);
	if (tool === 'shell.run') return {command: ['/bin/sh', '-c', fill(given.script ?? '')], request: {}};
	return null;
}

type End = {readonly text: string; readonly answered: boolean; readonly spent: string | null};

/** Joins the group from outside, enters the shield, and becomes the runner. */
async function launch(
	{command, request}: Run,
	{shield, cgroups, serial}: {readonly shield: number; readonly cgroups: CgroupHost; readonly serial: number},
): Promise<End> {
	const group = createGroup(cgroups, serial, SHIELD);
	const join = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"';
	const child = spawn(
		'/bin/sh',
		['-c', join, 'sh', ...group.joinFiles, '--', 'nsenter', '-t', String(shield), '-p', '-m', '--', ...command],
		{
			env: {[ENV]: process.env[ENV], PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/tmp', LANG: 'C.UTF-8'},
			stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
		},
	);
	const closed = once(child, 'close').catch(() => {});
	const heard = listen(child, request);
	const timeout = {hit: false};
	const stop = () => {
		group.kill();
		child.kill('SIGKILL');
	};
	const timer = setTimeout(() => {
		timeout.hit = true;
		stop();
	}, WALL_MS + 1_500);
	await Promise.race([once(child, 'exit'), heard.flooded]);
	stop();
	await closed;
	clearTimeout(timer);
	const exceeded = group.exceeded();
	await group.remove();
	const text = heard.text();
	const failed = /"type":"error"/.test(text);
	const limit =
		/MemoryError|Errno (?:28|11|24|12|27)|RecursionError|can't start new thread|Out of Memory|No space left|RunnerError|ResourceExceeded|too long/i.exec(
			text,
		)?.[0];
	const crashed =
		child.signalCode !== null && !timeout.hit && !heard.isFlooded() && exceeded.length === 0
			? `it crashed: ${child.signalCode}`
			: null;
	const spent = timeout.hit
		? 'it had to be stopped'
		: heard.isFlooded()
			? 'it flooded its output'
			: exceeded.length > 0
				? `it ran into ${exceeded}`
				: (limit ?? crashed);
	return {text, answered: !failed && /"type":"done"/.test(text), spent: spent ?? null};
}

function listen(child: ChildProcess, request: unknown) {
	const [input, ...outputs] = child.stdio as unknown as [Writable, Readable, Readable, Readable];
	const {promise: flooded, resolve} = Promise.withResolvers<void>();
	const state = {text: '', full: false};
	const add = (text: string) => {
		if (state.text.length < SHIELD.outputBytes) state.text += text;
		else if (!state.full) {
			state.full = true;
			resolve();
		}
	};
	const reader = createFrameReader(SHIELD.outputBytes * 4, (frame) => {
		add(`${JSON.stringify(frame)}\n`);
		if (frame.type === 'done' || frame.type === 'error') setTimeout(() => child.kill('SIGKILL'), 50);
	});
	outputs[2]?.on('data', (chunk: Buffer) => {
		try {
			reader.push(chunk);
		} catch (error) {
			add(`${String(error)} ${chunk.toString('latin1')}`); // forged frames are what some payloads are about
		}
	});
	for (const stream of outputs.slice(0, 2)) stream.on('data', (chunk: Buffer) => add(chunk.toString('latin1')));
	for (const stream of [input, ...outputs]) stream.on('error', () => {});
	input.end(encodeFrame(request));
	return {flooded, text: () => state.text, isFlooded: () => state.full};
}
