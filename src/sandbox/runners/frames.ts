/**
 * How a runner talks to the host: one frame in on standard input, frames out on descriptor 3. A frame is a big-endian uint32 byte
 * length and that many bytes of UTF-8 JSON. The host trusts nothing that arrives: code that took over a runner can write here too.
 */
import {Buffer} from 'node:buffer';
import {readSync, writeSync} from 'node:fs';
import process from 'node:process';
import type {Json} from '#contract/json.ts';
import type {Frame, RunnerRequest, SandboxLimits} from '#contract/sandbox.ts';

const REQUEST = 0;
const RESULT = 3;

/** Where a runner finds its files. Inside a sandbox these are always the defaults. */
export type Roots = {
	readonly data: string;
	readonly scratch: string;
	readonly in: string;
	/** null when nothing is mounted writable */
	readonly out: string | null;
};

/** The one argument of a runner, as JSON. */
export type RunnerArguments = {readonly limits: SandboxLimits; readonly roots: Roots};

/** Parses what the host put on the command line: `{limits, out?: boolean, roots?}`; `out` says that `/out` is mounted. */
export function parseArguments(argument: string | undefined): RunnerArguments {
	const given = JSON.parse(argument ?? '{}') as {limits: SandboxLimits; out?: boolean; roots?: Partial<Roots>};
	const roots = {data: '/data', scratch: '/tmp', in: '/in', out: given.out ? '/out' : null, ...given.roots};
	return {limits: given.limits, roots};
}

/** A failure the host passes on as it is. `message` is for the author of the query or the owner of the file; no host paths. */
export class RunnerError extends Error {
	override readonly name = 'RunnerError';
	readonly code: string;
	readonly hint: string | undefined;
	readonly details: Readonly<Record<string, Json>>;

	constructor(
		code: string,
		message: string,
		{hint, details = {}}: {hint?: string; details?: Readonly<Record<string, Json>>} = {},
	) {
		super(message);
		this.code = code;
		this.hint = hint;
		this.details = details;
	}
}

/** What the runners send: as the contract's `Frame`, without the casts that its inferred JSON type would need. */
export type SentFrame =
	| Exclude<Frame, {type: 'rows' | 'profile' | 'error'}>
	| {readonly type: 'rows'; readonly rows: readonly (readonly Json[])[]}
	| {readonly type: 'profile'; readonly table: object}
	| {
			readonly type: 'error';
			readonly code: string;
			readonly message: string;
			readonly hint?: string;
			readonly details?: Readonly<Record<string, Json>>;
	  };

export function sendFrame(frame: SentFrame): void {
	sendJson(JSON.stringify(frame));
}

/** Sends rows whose cells are JSON text already: most of a result is spared a second encoding. */
export function sendEncodedRows(rows: readonly string[]): void {
	if (rows.length > 0) sendJson(`{"type":"rows","rows":[${rows.join(',')}]}`);
}

/** Sends a frame that is JSON text already. */
export function sendJson(json: string): void {
	const body = Buffer.from(json, 'utf8');
	const frame = Buffer.allocUnsafe(4 + body.length);
	frame.writeUInt32BE(body.length);
	body.copy(frame, 4);
	for (let sent = 0; sent < frame.length; ) sent += retry(() => writeSync(RESULT, frame, sent));
}

/** Blocks until the host has sent the request. The host validated it; a runner has nobody else to hear from. */
export function readRequest(): RunnerRequest {
	const length = readExactly(4).readUInt32BE();
	return JSON.parse(readExactly(length).toString('utf8')) as RunnerRequest;
}

function readExactly(length: number): Buffer {
	const bytes = Buffer.allocUnsafe(length);
	for (let filled = 0; filled < length; ) {
		const count = retry(() => readSync(REQUEST, bytes, filled, length - filled, null));
		// The host went away without asking for anything: there is nobody to tell.
		if (count === 0) process.exit(0);
		filled += count;
	}
	return bytes;
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/** A descriptor that the host made non-blocking answers EAGAIN instead of waiting. */
function retry(operation: () => number): number {
	for (;;) {
		try {
			return operation();
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
			Atomics.wait(pause, 0, 0, 2);
		}
	}
}

/** Runs one request and leaves. What the runner throws becomes the `error` frame; a bug says that it is one. */
export async function serve(handle: (request: RunnerRequest) => Promise<void>): Promise<never> {
	sendFrame({type: 'ready'});
	try {
		await handle(readRequest());
	} catch (error) {
		sendFrame(toErrorFrame(error));
	}
	// Nothing to clean up: the sandbox goes with the process, and engine threads may still be busy with work nobody wants.
	process.exit(0);
}

function toErrorFrame(error: unknown): SentFrame {
	if (error instanceof RunnerError) {
		const {code, message, hint, details} = error;
		return {type: 'error', code, message, ...(hint === undefined ? {} : {hint}), details};
	}
	const message = error instanceof Error ? error.message : String(error);
	return {type: 'error', code: 'runner_internal_error', message};
}
