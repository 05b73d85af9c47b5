import {WritError} from '#contract/errors.ts';
import {type Event, parseEvent} from '#contract/event.ts';
import type {Clock, Store} from '#kernel/ports.ts';
import type {Erasure} from './bundle.ts';
import {canonical} from './canonical.ts';
import type {SigningKey} from './keys.ts';

type CapsulePorts = {
	readonly store: Pick<Store, 'rawEvents' | 'head'>;
	readonly key: SigningKey;
	readonly clock: Clock;
	readonly erasure?: (runId: string) => Promise<Erasure | null>;
	/** name and version of what exports */
	readonly software: string;
};

/**
 * The evidence of one run as one file that `verifyCapsule` checks offline: header, events, signed head and public key, under a seal, a
 * signature over all of it. The bytes are canonical JSON and a line feed. Throws `not_found` when there is no such run, or when the
 * run was signed with a key that is not here any more.
 */
export async function exportCapsule(
	runId: string,
	ports: CapsulePorts,
): Promise<{readonly name: string; readonly bytes: Uint8Array}> {
	const {store, key, clock, software} = ports;
	const events = await store.rawEvents(runId); // as they are: a damaged run can be exported, and its damage is in the file
	if (events.length === 0) throw new WritError('not_found', `there is no run \`${runId}\``);
	const head = await store.head(runId);
	if (head && head.keyId !== key.keyId) {
		throw new WritError('not_found', `run \`${runId}\` was signed with key ${head.keyId}, which is not here`, {
			hint: 'export it with --bundle, which holds the chain of keys, from the server that ran it',
			details: {keyId: head.keyId},
		});
	}
	const erasure = await ports.erasure?.(runId);
	const exportedAt = clock.now().toISOString();
	const content = {
		format: 'writ-capsule/1',
		run: toHeader(runId, events),
		events,
		head,
		...(erasure ? {erasure} : {}),
		publicKey: key.publicKey,
		exportedAt,
		software,
	};
	const text = canonical({...content, seal: key.sign(canonical(content))});
	return {name: `${runId}.capsule.json`, bytes: Buffer.from(`${text}\n`, 'utf8')};
}

/** What a reader wants to know first; the verifier compares it with the events. */
function toHeader(runId: string, events: readonly unknown[]) {
	const [first, last] = [tryParse(events[0]), tryParse(events.at(-1))];
	const started = first?.type === 'run.started' ? first : null;
	const finished = last?.type === 'run.finished' ? last : null;
	return {
		runId,
		job: started?.data.job ?? null,
		mode: started?.data.mode ?? null,
		question: started?.data.question ?? null,
		startedAt: started?.at ?? null,
		status: finished?.data.status ?? null,
		finishedAt: finished?.at ?? null,
	};
}

function tryParse(event: unknown): Event | null {
	try {
		return parseEvent(event);
	} catch {
		return null; // damaged: the header goes without it
	}
}
