/** For tests: runs a runner without a sandbox around it, and gives back its frames as the host would see them. */
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Readable} from 'node:stream';
import {DuckDBInstance} from '@duckdb/node-api';
import {type Frame, frameSchema, type RunnerRequest} from '#contract/sandbox.ts';
import type {Roots} from './frames.ts';

const LIMITS = {
	wallMs: 20_000,
	memoryBytes: 1_000_000_000,
	cpus: 2,
	processes: 64,
	openFiles: 256,
	scratchBytes: 500_000_000,
	outputBytes: 64_000_000,
};

export type Finished = {
	readonly frames: readonly Frame[];
	readonly stdout: string;
	readonly stderr: string;
	readonly exit: number | null;
};

type Run = {readonly command: readonly [string, ...string[]]; readonly request: RunnerRequest; readonly roots?: Partial<Roots>};

/** Starts `command`, sends the request once `ready` has arrived, and resolves when the process has gone. */
export async function runInChild({command: [program, ...args], request, roots = {}}: Run): Promise<Finished> {
	const own = {data: directory(), scratch: directory(), in: directory(), out: null, ...roots};
	const child = spawn(program, [...args, JSON.stringify({limits: LIMITS, roots: own})], {
		stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
		env: {PATH: '/usr/bin:/bin', HOME: own.scratch, TMPDIR: own.scratch, TZ: 'UTC'},
	});
	const results = collect(child.stdio[3] as Readable);
	const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
	const body = Buffer.from(JSON.stringify(request));
	const length = Buffer.alloc(4);
	length.writeUInt32BE(body.length);
	child.stdin.on('error', () => {}); // a runner that died early is seen in its frames
	child.stdin.write(Buffer.concat([length, body]));
	const exit = await new Promise<number | null>((resolve) => child.on('close', resolve));
	return {frames: decode(await results), stdout: String(await stdout), stderr: String(await stderr), exit};
}

async function collect(stream: Readable): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of stream) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks);
}

function decode(bytes: Buffer): Frame[] {
	const frames: Frame[] = [];
	for (let at = 0; at < bytes.length; ) {
		const length = bytes.readUInt32BE(at);
		frames.push(frameSchema.parse(JSON.parse(bytes.toString('utf8', at + 4, at + 4 + length))));
		at += 4 + length;
	}
	return frames;
}

const place = mkdtempSync(join(tmpdir(), 'writ-runner-'));
process.once('exit', () => rmSync(place, {recursive: true, force: true}));

/** Gone with this process. */
export function directory(): string {
	return mkdtempSync(join(place, 'run-'));
}

/** Writes each query's result as `<table>.parquet` into a new directory, and says where. */
export async function snapshots(
	tables: Readonly<Record<string, string>>,
): Promise<{data: string; views: {table: string; path: string}[]}> {
	const data = directory();
	const connection = await (await DuckDBInstance.create(':memory:')).connect();
	const views = Object.keys(tables).map((table) => ({table, path: join(data, `${table}.parquet`)}));
	for (const {table, path} of views) await connection.run(`COPY (${tables[table]}) TO '${path}' (FORMAT parquet)`);
	connection.closeSync();
	return {data, views};
}

/** The last frame, which says how it ended. */
export function ending({frames}: Finished): Extract<Frame, {type: 'done' | 'error'}> {
	const last = frames.at(-1);
	if (last?.type === 'done' || last?.type === 'error') return last;
	throw new Error(`the runner ended without saying how: ${JSON.stringify(last)}`);
}

export function rowsOf({frames}: Finished): readonly (readonly unknown[])[] {
	return frames.flatMap((frame) => (frame.type === 'rows' ? frame.rows : []));
}
