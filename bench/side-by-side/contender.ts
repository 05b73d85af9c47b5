/** What is compared: something that runs a program of somebody else's, once, and what is asked of it. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, readFileSync} from 'node:fs';
import path from 'node:path';
import type {Readable, Writable} from 'node:stream';

export const ROOT = path.resolve(import.meta.dirname, '../..');
export const MIB = 2 ** 20;

export type Language = 'python' | 'javascript';

/** What became of one program. `code` is empty, one of contract/errors.ts, or says in words what no caller would accept. */
export type Ending = {readonly outcome: 'succeeded' | 'failed'; readonly code: string; readonly output: string};

/** The parts of this machine that a program is shown, and for attacks the bound that keeps the machine alive whatever is inside. */
export type Place = {
	/** read-only, holds `sales.parquet` */
	readonly data: string;
	/** anybody may write to it; in a bound it is small */
	readonly scratch: string;
	/** how long a caller waits for a program, from when it begins where that can be told */
	readonly wallMs: number;
	readonly bound: Bound | null;
};

/** A control group of its own, to be joined or put above a container. */
export type Bound = {
	readonly joinFiles: readonly string[];
	/** as an engine calls it */
	readonly parent: string;
	/** what of it was used up: nothing that ran inside it had a limit of its own that came first */
	spent(): readonly string[];
};

/** Ready to run programs of one language. */
export type Runner = {
	/** where inside the data and the scratch are */
	readonly facts: {readonly DATA: string; readonly SCRATCH: string};
	/** from nothing */
	cold(code: string): Promise<Ending>;
	/** in a sandbox that waited, where there are such */
	readonly warm?: (code: string) => Promise<Ending>;
	/** Resolves when nothing of the last run is left, and what should wait is waiting. */
	rested(): Promise<void>;
	close(): Promise<void>;
};

export type Contender = {
	readonly name: string;
	readonly languages: readonly Language[];
	/** in which a start from nothing is measured: it is what takes the time of a comparison */
	readonly coldIn: readonly Language[];
	/** for the reader: exactly how it is set up, as its authors advise */
	readonly configuration: string;
	/** Versions, as far as they matter. Throws with the reason when it cannot be had here. */
	describe(): Promise<string>;
	open(place: Place, language: Language): Promise<Runner>;
	/** Opens one sandbox that waits, and then another that does. */
	readonly idle?: (language: Language) => Promise<{more(): Promise<void>; close(): Promise<void>}>;
};

/** Says `BEGUN` first: a program that was never started was not contained either. */
export const BEGUN = 'begun, begun';

type Command = {
	readonly command: readonly [string, ...string[]];
	readonly input: string;
	readonly place: Place;
	readonly env?: Readonly<Record<string, string>>;
	readonly cwd?: string;
	/** a client that is trusted, and must outlive what it started: it keeps its rights and stays out of the bound */
	readonly isClient?: boolean;
	/** beyond the end of the command itself */
	readonly stop?: () => void;
};

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
/** For `spawn`, and on a command line: authors advise against root where there is a choice. */
export const ORDINARY = isRoot ? {uid: NOBODY, gid: NOBODY} : {};
const DROP = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'] : [];
const OUTPUT_BYTES = 8 * MIB;
const START_MS = 20_000;
/** Joins a group from outside and gives up being root before it starts anything. */
const JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"';

/** Runs a command as a careful caller does: as nobody, with nothing in its environment, for a limited time and output. */
export async function runCommand({command, input, place, env = {}, cwd = '/', isClient = false, stop}: Command): Promise<Ending> {
	const joinFiles = isClient ? [] : (place.bound?.joinFiles ?? []);
	const [file, ...args] =
		joinFiles.length === 0 ? command : (['/bin/sh', '-c', JOIN, 'sh', ...joinFiles, '--', ...DROP, ...command] as const);
	const child = spawn(file, args, {
		...{cwd, env: {PATH: '/usr/bin:/bin', ...env}, stdio: ['pipe', 'pipe', 'pipe'], detached: true},
		...(isClient || joinFiles.length > 0 ? {} : ORDINARY),
	});
	const how = {code: ''};
	const end = (code: string) => {
		how.code ||= code;
		stop?.();
		signalGroup(child.pid);
	};
	const timeOut = () => end('runner_timeout');
	const timers = [setTimeout(timeOut, Math.max(START_MS, place.wallMs))];
	const onBegun = () => void timers.push(setTimeout(timeOut, place.wallMs));
	const text = listen(child.stdio as unknown as [Writable, Readable, Readable], input, {
		onBegun,
		onFlood: () => end('runner_resource_exceeded'),
	});
	const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
	for (const timer of timers) clearTimeout(timer);
	const output = text();
	const exceeded = place.bound?.spent() ?? [];
	if (exceeded.length > 0)
		return {outcome: 'failed', code: `only the bound around it stopped it: ${exceeded.join(', ')}`, output};
	if (how.code !== '') return {outcome: 'failed', code: how.code, output};
	if (code === 0) return {outcome: 'succeeded', code: '', output};
	return {outcome: 'failed', code: 'python_execution_error', output: `${output}\nended with ${signal ?? code}`};
}

type Listener = {onBegun(): void; onFlood(): void};

function listen(
	[stdin, stdout, stderr]: readonly [Writable, Readable, Readable],
	input: string,
	{onBegun, onFlood}: Listener,
): () => string {
	const state = {text: '', hasBegun: false};
	const hear = (chunk: Buffer) => {
		if (state.text.length >= OUTPUT_BYTES) return onFlood();
		state.text += chunk.toString('latin1');
		if (state.hasBegun || !state.text.includes(BEGUN)) return;
		state.hasBegun = true;
		onBegun();
	};
	for (const stream of [stdout, stderr]) stream.on('data', hear);
	stdin.on('error', () => {}); // it may end without having read
	stdin.end(input);
	return () => state.text;
}

/** It is the first of its group, unless it made another. */
function signalGroup(pid: number | undefined): void {
	try {
		if (pid !== undefined) process.kill(-pid, 'SIGKILL');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}

/** Where the packages are that Python programs import, for another interpreter of the same version; undefined when there are none. */
export function pythonPackages(): string | undefined {
	const found = /^version = (\d+\.\d+)/m.exec(readIfThere(path.join(ROOT, '.writ/python/pyvenv.cfg')))?.[1];
	const packages = path.join(ROOT, `.writ/python/lib/python${found}/site-packages`);
	return found !== undefined && existsSync(`/usr/lib/python${found}/os.py`) ? packages : undefined;
}

function readIfThere(file: string): string {
	return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
