/** Runs with content, their erasure and holds, for the tests of this room. */
import type {EventBody, EventData, Principal} from '#contract/event.ts';
import {eraseContent} from '#evidence/content.ts';
import {openJournal} from '#evidence/journal.ts';
import {signHead} from '#evidence/keys.ts';
import {sampleKey} from '#evidence/sample-run.ts';
import type {Store} from '#kernel/ports.ts';
import {ANN, asked, message} from './sample-run.ts';

export const key = sampleKey();
export const KEEPER: Principal = {kind: 'service', id: 'retention', tenant: 'local'};
export const BOB: Principal = {kind: 'user', id: 'bob', tenant: 'local'};
export const SECRET = 'What does Carla earn?';

type Written = {readonly actor?: Principal; readonly started?: Partial<EventData<'run.started'>>; readonly now?: Date};

async function write(
	store: Store,
	runId: string,
	{actor = ANN, started = {}, now = new Date()}: Written,
	...bodies: EventBody[]
) {
	const journal = await openJournal({
		...{store, runId, principal: actor, fence: {holder: runId, leaseMs: 60_000}, clock: {now: () => now}},
		...{redact: (value: unknown) => ({value, count: 0}), sign: (end: Parameters<typeof signHead>[1]) => signHead(key, end)},
		started: {
			...{job: 'analyst', mode: 'chat', threadId: 't1', question: SECRET, dataset: {id: 'pay', hash: 'h1'}},
			...{software: 'writ', policyVersion: 'p1', ...started},
		},
	});
	const end = {status: 'succeeded', resultActionId: null, error: null, durationMs: 1} as const;
	await journal.append(...bodies, {type: 'run.finished', actor, data: end});
}

export const work = (store: Store, runId: string, more: Written = {}) =>
	write(store, runId, more, message('user', SECRET), asked(`apr_${runId}`), message('assistant', 'Carla earns 4,000'));

export async function statedFor(store: Store, runId: string): Promise<EventBody> {
	const gone = (await store.read(runId)).flatMap((event) => eraseContent(event) ?? []);
	const events = gone.map(({seq, hash}) => ({seq, hash}));
	const data = {runId, rule: 'thirty-days', reason: 'older than 30 days', events, bytes: {before: 10, after: 1}};
	return {type: 'content.erased', actor: KEEPER, data};
}
const SYSTEM = {job: 'system', mode: 'retention', threadId: null, question: null, dataset: null} as const;
export const system = (store: Store, runId: string, body: EventBody, actor: Principal = KEEPER) =>
	write(store, runId, {actor, started: SYSTEM}, body);
export const erase = async (store: Store, runId: string, by = `erase_${runId}`) =>
	system(store, by, await statedFor(store, runId));
export const hold = (store: Store, holdId: string, kind: 'run' | 'thread' | 'tenant' | 'dataset', target: string) =>
	system(store, `by_${holdId}`, {type: 'hold.placed', actor: ANN, data: {holdId, kind, target, reason: 'a lawsuit'}}, ANN);
