/** How code inside asks for tools: a `call` frame goes out, and its reply comes in on standard input. */
import {read} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';
import type {Json} from '#contract/json.ts';
import type {CallReply} from '#contract/sandbox.ts';
import {sendFrame} from './frames.ts';

/** Why a call did not run, for code that can do something about it. */
export class Refusal extends Error {
	override readonly name = 'Refusal';
	readonly code: string;
	readonly hint: string | undefined;

	constructor({code, message, hint}: Extract<CallReply, {type: 'refused'}>) {
		super(message);
		this.code = code;
		this.hint = hint;
	}
}

type Waiting = {resolve(output: Json): void; reject(error: Error): void};

/** Resolves to what the tool returned; rejects with a `Refusal` when it did not run. */
export type Call = (tool: string, input: Json) => Promise<Json>;

/** With `tools` false every call is refused here: nobody would answer it. */
export function createCall(tools: boolean): Call {
	const waiting = new Map<number, Waiting>();
	const state = {id: 0, isReading: false};
	const listen = async () => {
		state.isReading = true;
		// Only while somebody waits: a pending read would keep a program alive that has nothing left to do.
		while (waiting.size > 0) {
			const reply = await readReply();
			const {resolve, reject} = waiting.get(reply.id) ?? {};
			waiting.delete(reply.id);
			if (reply.type === 'reply') resolve?.(reply.output as Json);
			else reject?.(new Refusal(reply));
		}
		state.isReading = false;
	};
	return (tool, input) => {
		if (!tools) return Promise.reject(new Refusal(NO_TOOLS));
		const {promise, resolve, reject} = Promise.withResolvers<Json>();
		state.id += 1;
		waiting.set(state.id, {resolve, reject});
		sendFrame({type: 'call', id: state.id, tool, input});
		if (!state.isReading) void listen();
		return promise;
	};
}

const NO_TOOLS = {type: 'refused', id: 0, code: 'feature_disabled', message: 'this run was given no tools'} as const;

async function readReply(): Promise<CallReply> {
	const length = (await readExactly(4)).readUInt32BE();
	return JSON.parse((await readExactly(length)).toString('utf8')) as CallReply;
}

async function readExactly(length: number): Promise<Buffer> {
	const bytes = Buffer.allocUnsafe(length);
	for (let filled = 0; filled < length; ) {
		const count = await readSome(bytes, filled);
		// The host went away: there is nobody to tell.
		if (count === 0) process.exit(0);
		filled += count;
	}
	return bytes;
}

const AGAIN_MS = 2;

async function readSome(bytes: Buffer, from: number): Promise<number> {
	for (;;) {
		const {promise, resolve, reject} = Promise.withResolvers<number | null>();
		read(0, bytes, from, bytes.length - from, null, (error, count) => {
			if (!error) resolve(count);
			else if (error.code === 'EAGAIN') resolve(null);
			else reject(error);
		});
		const count = await promise;
		if (count !== null) return count;
		await delay(AGAIN_MS);
	}
}
