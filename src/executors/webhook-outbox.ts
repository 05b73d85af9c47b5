/** What is to be told and was not yet, in a file: it outlives the process that was to tell it. */
import {appendFileSync, readFileSync, renameSync, writeFileSync} from 'node:fs';

export type Message = {readonly id: string; readonly body: string};

export type Outbox = {
	/** Durable before it returns, as far as the file system goes. False for a message that was taken in before. */
	add(message: Message): boolean;
	delivered(id: string): void;
	/** what earlier processes took in and did not deliver, oldest first */
	readonly undelivered: readonly Message[];
};

/** How many messages that were delivered are remembered, so that none is sent again after a restart. */
const REMEMBERED = 10_000;

type Line = {readonly id: string; readonly body?: string};

/** Opens the file, or begins one; a last line that was half-written when a machine failed is left out. */
export function openOutbox(file: string): Outbox {
	const open = new Map<string, string>();
	const known = new Set<string>();
	for (const {id, body} of readLines(file)) {
		known.add(id);
		if (body === undefined) open.delete(id);
		else open.set(id, body);
	}
	const done = [...known].filter((id) => !open.has(id)).slice(-REMEMBERED);
	const undelivered = [...open].map(([id, body]) => ({id, body}));
	const kept = [...done.map((id) => ({id})), ...undelivered].map((line) => `${JSON.stringify(line)}\n`);
	writeFileSync(`${file}.new`, kept.join(''), {mode: 0o600, flush: true});
	renameSync(`${file}.new`, file);
	const write = (line: Line) => appendFileSync(file, `${JSON.stringify(line)}\n`, {mode: 0o600, flush: true});
	return {
		undelivered,
		add(message) {
			if (known.has(message.id)) return false;
			write(message);
			known.add(message.id);
			return true;
		},
		delivered: (id) => write({id}),
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
