/**
 * The evidence of one run as files that a stranger can check: what was recorded, what is stated of it, and what others read. The
 * bytes depend on the run and the key alone, so that two exports can be compared. Nothing here is read by a verifier.
 */
import {hash} from 'node:crypto';
import {WritError} from '#contract/errors.ts';
import {type Event, parseEvent, type SignedHead} from '#contract/event.ts';
import type {Store} from '#kernel/ports.ts';
import {endOf, frameOf, toActions} from './actions.ts';
import {canonical} from './canonical.ts';
import {signCheckpoint} from './checkpoint.ts';
import {toStored} from './content.ts';
import {type Resource, type Statement, toEnvelope} from './dsse.ts';
import {assertChain} from './journal.ts';
import {genesisRecord, type KeyRecord, type SigningKey} from './keys.ts';
import {hashLeaf, inclusionProof, rootOf, toTiles} from './merkle.ts';
import {toReports} from './reports.ts';
import type {LogPlace} from './server-log.ts';
import {stateActions, stateBundle, stateVerdict} from './statements.ts';

/** The run in which the erasure is recorded. */
export type Erasure = {readonly events: readonly unknown[]; readonly head: SignedHead | null};

type BundlePorts = {
	readonly store: Pick<Store, 'rawEvents' | 'head'>;
	readonly key: SigningKey;
	/** the keys that led to `key`, oldest first; by default it is the first */
	readonly keys?: readonly KeyRecord[];
	/** The run's place in the log of all runs; null where there is none. */
	readonly place?: (runId: string) => Promise<LogPlace | null>;
	/** What erased content of the run; null when nothing did. */
	readonly erasure?: (runId: string) => Promise<Erasure | null>;
	/** The bytes of a file the run left, by its SHA-256; null when they are gone. */
	readonly readArtifact?: (tenant: string, sha256: string) => Promise<Uint8Array | null>;
};

/**
 * Every file of the bundle by its path. Throws `not_found` when there is no such run, `conflict` while it has not finished, and
 * `evidence_tampered` rather than state anything of a run that was changed.
 */
export async function exportBundle(runId: string, ports: BundlePorts): Promise<ReadonlyMap<string, Buffer>> {
	const {store, key} = ports;
	const keys = ports.keys ?? [genesisRecord(key)];
	const {events, head} = await readRun(runId, store);
	if (!keys.some(({keyId}) => keyId === head.keyId)) {
		throw new WritError('not_found', `run \`${runId}\` was signed with key ${head.keyId}, which is not here`, {
			hint: 'export it from the server that ran it, or restore that key',
			details: {keyId: head.keyId},
		});
	}
	const files = new Map<string, Buffer>();
	const write = (path: string, text: string | Uint8Array) => void files.set(path, Buffer.from(text as string));

	write('log/events.jsonl', toLines(events.map(toStored)));
	write('log/head.json', `${canonical(head)}\n`);
	for (const [path, bytes] of treeOf(events, key)) write(path, bytes);
	const place = await ports.place?.(runId);
	if (place) {
		write('log/server/checkpoint', place.checkpoint);
		write('log/server/proof.json', `${canonical({index: place.index, proof: place.proof})}\n`);
	}
	const erasure = events.some(({erased}) => erased !== undefined) ? await ports.erasure?.(runId) : null;
	if (erasure) {
		write('log/erasure/events.jsonl', toLines(erasure.events));
		write('log/erasure/head.json', `${canonical(erasure.head)}\n`);
	}
	write('keys.json', `${canonical(keys)}\n`);
	for (const [sha256, bytes] of await artifactsOf(events, ports)) write(`artifacts/${sha256}`, bytes);
	for (const [path, text] of toReports(events)) write(path, text);
	write('evidence.json', `${canonical(summaryOf(events, head, key))}\n`);

	const state = (path: string, statement: Statement) => write(path, toEnvelope(statement, key));
	for (const {path, statement} of stateActions(events)) state(path, statement);
	const inputs = resourcesOf(files).filter(({name}) => name.startsWith('statements/'));
	state('statements/verdict.dsse.json', stateVerdict(events, inputs));
	state('statements/bundle.dsse.json', stateBundle(runId, resourcesOf(files)));
	return files;
}

function toLines(events: readonly unknown[]): string {
	return events.map((event) => `${canonical(event)}\n`).join('');
}

type Run = {readonly events: readonly Event[]; readonly head: SignedHead};

async function readRun(runId: string, store: BundlePorts['store']): Promise<Run> {
	const raw = await store.rawEvents(runId);
	if (raw.length === 0) throw new WritError('not_found', `there is no run \`${runId}\``);
	const events = raw.map((each, index) => parse(each, runId, index + 1));
	assertChain(events, runId);
	const head = await store.head(runId);
	const last = events.at(-1);
	if (last?.type !== 'run.finished') {
		throw new WritError('conflict', `run \`${runId}\` has not finished, so nothing can be stated of it`, {
			hint: 'without --bundle, what there is of it is exported',
		});
	}
	if (head?.hash === last.hash && head.seq === last.seq) return {events, head};
	throw tampered(runId, last.seq, 'its signed head is gone or of another end');
}

function parse(raw: unknown, runId: string, seq: number): Event {
	try {
		return parseEvent(raw);
	} catch {
		throw tampered(runId, seq, `event ${seq} cannot be read`);
	}
}

function tampered(runId: string, seq: number, reason: string): WritError {
	return new WritError('evidence_tampered', `nothing is stated of run \`${runId}\`: ${reason}`, {
		hint: `run \`writ evidence verify ${runId}\``,
		details: {runId, seq},
	});
}

/** The events as a tree with a signed checkpoint, and a proof for the last event and for how each action ended. */
function treeOf(events: readonly Event[], key: SigningKey): ReadonlyMap<string, string | Buffer> {
	const entries = events.map(({seq, hash: of}) => `${seq} ${of}\n`);
	const leaves = entries.map(hashLeaf);
	const origin = `writ/run/${events[0]?.runId ?? ''}`;
	const proved = new Set([events.length, ...toActions(events).map((action) => action.events.at(-1)?.seq ?? 1)]);
	const proofs = [...proved]
		.sort((a, b) => a - b)
		.map((seq) => ({seq, proof: inclusionProof(leaves, seq - 1).map((each) => each.toString('base64'))}));
	return new Map<string, string | Buffer>([
		['log/checkpoint', signCheckpoint({origin, size: entries.length, root: rootOf(leaves)}, key)],
		['log/proofs.json', `${canonical(proofs)}\n`],
		...[...toTiles(entries)].map(([path, bytes]) => [`log/${path}`, bytes] as const),
	]);
}

/** Inputs and outputs in canonical form, and the files that programs left, each under its digest. */
async function artifactsOf(
	events: readonly Event[],
	{readArtifact}: BundlePorts,
): Promise<ReadonlyMap<string, string | Uint8Array>> {
	const artifacts = new Map<string, string | Uint8Array>();
	const tenant = frameOf(events).started?.principal.tenant ?? '';
	for (const {proposed, outcome} of toActions(events)) {
		if (proposed.erased === undefined) artifacts.set(proposed.data.inputDigest, canonical(proposed.data.input));
		if (!outcome || outcome.erased !== undefined) continue;
		artifacts.set(outcome.data.outputDigest, canonical(outcome.data.output));
		for (const sha256 of filesIn(outcome.data.output)) {
			const bytes = await readArtifact?.(tenant, sha256);
			if (bytes && hash('sha256', bytes) === sha256) artifacts.set(sha256, bytes);
		}
	}
	return artifacts;
}

/** What a program left, as its output names it. */
function filesIn(output: unknown): readonly string[] {
	const left = (output as {artifacts?: unknown} | null)?.artifacts;
	if (!Array.isArray(left)) return [];
	return left.flatMap((each: {sha256?: unknown} | null) => (typeof each?.sha256 === 'string' ? [each.sha256] : []));
}

function summaryOf(events: readonly Event[], {seq, hash: of, keyId}: SignedHead, key: SigningKey) {
	const {started, finished} = frameOf(events);
	const [first, last] = [events[0], events.at(-1)];
	return {
		format: 'writ-bundle/1',
		run: {
			...{runId: first?.runId ?? '', job: started?.job ?? null, mode: started?.mode ?? null},
			...{question: started?.question ?? null, startedAt: first?.at ?? null},
			...{status: finished?.status ?? null, finishedAt: last?.at ?? null},
		},
		principal: started?.principal ?? null,
		dataset: started?.dataset ?? null,
		software: started?.software ?? null,
		policyVersion: started?.policyVersion ?? null,
		head: {seq, hash: of, keyId},
		keyId: key.keyId,
		...erasedOf(events),
		actions: toActions(events).map((action) => ({
			actionId: action.proposed.data.actionId,
			tool: action.proposed.data.tool,
			decision: action.decided?.data.decision.effect ?? null,
			risk: action.decided?.data.decision.risk ?? null,
			end: endOf(action),
		})),
	};
}

/** What is missing: without anything missing, nothing. */
function erasedOf(events: readonly Event[]) {
	const gone = events.filter(({erased}) => erased !== undefined);
	return gone.length === 0 ? {} : {erased: {events: gone.map(({seq}) => seq), record: 'log/erasure/events.jsonl'}};
}

function resourcesOf(files: ReadonlyMap<string, Buffer>): readonly Resource[] {
	const named = [...files].map(([name, bytes]) => ({name, digest: {sha256: hash('sha256', bytes)}}));
	return named.sort((a, b) => (a.name < b.name ? -1 : 1));
}
