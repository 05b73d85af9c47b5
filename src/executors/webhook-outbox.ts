/**
 * Which events are to be told and were not yet, in a file: it outlives the process that was to tell them. It holds places alone; what
 * is said is read from the store when it is sent, so that nothing stays here that was erased there.
 */
import {appendFileSync, readFileSync, renameSync, writeFileSync} from 'node:fs';

export type Outbox = {
	/** Durable before it returns, as far as the file system goes. False for what was taken in before. */
	add(id: string): boolean;
	/** It was told, or there is nothing left to tell of it. */
	settled(id: string): void;
	/** what earlier processes took in and did not settle, oldest first */
	readonly waiting: readonly string[];
};

/** How many that were settled are remembered, so that none is sent again after a restart. */
const REMEMBERED = 10_000;

/** Neither `waits` nor `body`: it is settled. `body` is how earlier versions said that it waits; what it held is dropped. */
type Line = {readonly id: string; readonly waits?: true; readonly body?: unknown};

/** Opens the file, or begins one; a last line that was half-written when a machine failed is left out. */
export function openOutbox(file: string): Outbox {
	const open = new Set<string>();
	const known = new Set<string>();
	for (const {id, waits, body} of readLines(file)) {
		known.add(id);
		if (waits === undefined && body === undefined) open.delete(id);
		else open.add(id);
	}
	const done = [...known].filter((id) => !open.has(id)).slice(-REMEMBERED);
	const waiting = [...open];
	const lines: readonly Line[] = [...done.map((id) => ({id})), ...waiting.map((id) => ({id, waits: true as const}))];
	writeFileSync(`${file}.new`, lines.map((line) => `${JSON.stringify(line)}\n`).join(''), {mode: 0o600, flush: true});
	renameSync(`${file}.new`, file);
	const write = (line: Line) => appendFileSync(file, `${JSON.stringify(line)}\n`, {mode: 0o600, flush: true});
	return {
		waiting,
		add(id) {
			if (known.has(id)) return false;
			write({id, waits: true});
			known.add(id);
			return true;
		},
		settled: (id) => write({id}),
	};
}

function readLines(file: string): readonly Line[] {
	try {
		return readFileSync(file, 'utf8')
			.split('\n')
			.flatMap((line) => parse(line) ?? []);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}

function parse(line: string): Line | null {
	try {
		return JSON.parse(line) as Line;
	} catch {
		return null; // the end of the file, or what a failing machine left of a line
	}
}
