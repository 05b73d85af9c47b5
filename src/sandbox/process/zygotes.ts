/** The zygotes of a provider: one for each program that can have one, started when it is first wanted and again after it died. */
import {basename} from 'node:path';
import {WritError} from '#contract/errors.ts';
import type {SandboxSpec} from '#contract/sandbox.ts';
import {cancelled} from '../endings.ts';
import type {Program} from '../runtime.ts';
import {DEVICES, ENVIRONMENT, systemLinks} from './bubblewrap.ts';
import {zygoteIds} from './host-identity.ts';
import {startZygote, ZYGOTE, type Zygote} from './zygote.ts';

export type Zygotes = {
	/** Undefined where the program has none: it was not written for it, or the host refuses, and `refusals` says what. */
	find(program: Program, spec: SandboxSpec, signal: AbortSignal): Promise<Zygote | undefined>;
	/** What is started without one, and why, as sentences. */
	refusals(): readonly string[];
	close(): Promise<void>;
};

type Entry = {zygote: Promise<Zygote>; refusal: string | undefined; retryAt: number};

/** What was refused is asked for again: somebody may have changed the host's settings. */
const RETRY_MS = 60_000;

export function createZygotes(filters: {readonly filter: string; readonly zygoteFilter: string}): Zygotes {
	const entries = new Map<string, Entry>();
	const begin = (key: string, program: Program): Entry => {
		const entry: Entry = {zygote: start(program, filters), refusal: undefined, retryAt: Number.POSITIVE_INFINITY};
		entries.set(key, entry);
		const forget = () => void (entries.get(key) === entry && entries.delete(key));
		entry.zygote.then(
			({gone}) => gone.then(forget),
			(error: unknown) => {
				const reason = error instanceof WritError ? error.message : String(error);
				entry.refusal = `${basename(program.zygote?.script ?? '')} is started anew for each run, which takes longer and isolates as well: ${reason}`;
				entry.retryAt = performance.now() + RETRY_MS;
			},
		);
		return entry;
	};
	return {
		async find(program, spec, signal) {
			if (!program.zygote || isCovered(program, spec)) return undefined;
			const key = JSON.stringify([program.zygote, program.mounts, program.environment]);
			const known = entries.get(key);
			const {zygote} = known && performance.now() < known.retryAt ? known : begin(key, program);
			return untilAborted(
				zygote.catch(() => undefined),
				signal,
			);
		},
		refusals: () => [...entries.values()].flatMap(({refusal}) => (refusal === undefined ? [] : [refusal])),
		async close() {
			const all = [...entries.values()].map(({zygote}) => zygote);
			entries.clear();
			await Promise.allSettled(all.map(async (zygote) => (await zygote).close()));
		},
	};
}

/** A child's own mounts go beside those of its zygote, never over them. */
function isCovered({mounts}: Program, {mounts: own}: SandboxSpec): boolean {
	const top = (path: string) => path.split('/')[1];
	const taken = new Set(['dev', 'next', ...Object.keys(systemLinks().links), ...mounts.map(({target}) => top(target))]);
	return own.some(({target}) => taken.has(top(target)));
}

async function start({zygote, mounts, environment}: Program, filters: {filter: string; zygoteFilter: string}): Promise<Zygote> {
	if (!zygote) throw new Error('this program has no zygote');
	const {links, directories} = systemLinks();
	return startZygote({
		...{...zygote, ...filters, links},
		mounts: [...directories, ...mounts, ZYGOTE],
		devices: DEVICES,
		environment: {...ENVIRONMENT, ...environment},
		ids: zygoteIds(),
	});
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	if (signal.aborted) throw cancelled();
	const {promise: aborted, reject} = Promise.withResolvers<never>();
	const onAbort = () => reject(cancelled());
	signal.addEventListener('abort', onAbort, {once: true});
	try {
		return await Promise.race([promise, aborted]);
	} finally {
		signal.removeEventListener('abort', onAbort);
	}
}
