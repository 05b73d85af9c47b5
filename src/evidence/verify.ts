/**
 * The offline verifier. It shares the canonical form with the writer and nothing else: whatever it says, it found out by itself.
 */
import {createHash, createPublicKey, type KeyObject, verify} from 'node:crypto';
import type {Verification} from '#contract/api.ts';
import {CONTENT, type Event, type EventType, parseEvent, type SignedHead, signedHeadSchema} from '#contract/event.ts';
import {isRecord} from '#contract/json.ts';
import {canonical, digest} from './canonical.ts';
import {checkConduct, type Finding, tryDigest} from './verify-conduct.ts';
import {compareErasure} from './verify-erasure.ts';

export type Signer = {readonly key: KeyObject; readonly keyId: string};

/**
 * Checks an exported capsule: the bytes of its file, their text, or the parsed JSON (then the file itself goes unchecked). Never throws.
 * - `valid`: every event is as it was written, in order and complete, and the run kept the rules.
 * - `tampered`: something was changed afterwards; `position` names the first wrong event, null when it is not an event.
 * - `cannot_tell`: not a capsule, an unfinished run, or a signer other than `trustedKeyId`.
 * Without `trustedKeyId` the key inside is taken at its word and a check named `self-signed key` says so: whoever wrote the file could
 * have made that key.
 */
export function verifyCapsule(capsule: unknown, {trustedKeyId}: {readonly trustedKeyId?: string} = {}): Verification {
	const {value, findings} = readFile(capsule);
	if (!isRecord(value) || value.format !== 'writ-capsule/1' || !Array.isArray(value.events)) {
		const detail = 'this is no capsule of format writ-capsule/1; export one with `writ evidence export`';
		return conclude([{name: 'format', verdict: 'cannot_tell', detail}], [], null);
	}
	const events: readonly unknown[] = value.events;
	const signer = readSigner(value.publicKey);
	if (!signer) findings.push({name: 'key', verdict: 'tampered', detail: 'the public key is not an Ed25519 key'});
	else findings.push(checkTrust(signer, trustedKeyId), checkSeal(value, signer));
	findings.push(checkHeader(value.run, events), ...checkRun(events, value.head, signer, 'tampered'));
	findings.push(...checkErasure(events, value.erasure, signer ? [signer] : []));
	return conclude(findings, events, signer);
}

/** What a store has besides: `erasure` is the run that says what was erased of this one; `keys` are all of the platform. */
type Beside = {readonly erasure?: unknown; readonly keys?: readonly string[]};

/** Checks a run as a store holds it, with the platform's own public key (SPKI DER, base64). Never throws. */
export function verifyRun(rawEvents: unknown, head: unknown, publicKey: string, {erasure, keys = []}: Beside = {}): Verification {
	const events: readonly unknown[] = Array.isArray(rawEvents) ? rawEvents : [];
	const signer = readSigner(publicKey);
	const signers = [publicKey, ...keys].flatMap((key) => readSigner(key) ?? []);
	return conclude([...checkRun(events, head, signer, 'cannot_tell'), ...checkErasure(events, erasure, signers)], events, signer);
}

/** Content that is gone, against the record that says so: a signed run of its own. Nothing when all is here and nothing says otherwise. */
export function checkErasure(events: readonly unknown[], erasure: unknown, signers: readonly Signer[]): Finding[] {
	if (!isRecord(erasure)) return compareErasure(events, null);
	const record: readonly unknown[] = Array.isArray(erasure.events) ? erasure.events : [];
	const {head} = erasure;
	const signer = signers.find(({keyId}) => isRecord(head) && head.keyId === keyId) ?? null;
	const bad = checkRun(record, head, signer, 'tampered').find(({verdict}) => verdict !== 'valid');
	if (!bad) return compareErasure(events, record.map(tryParse) as Event[]);
	return [{name: 'erasure', verdict: 'tampered', detail: `the record of what was erased: ${bad.name}: ${bad.detail}`}];
}

/** The worst of what was found; without anything found, nothing can be told. */
export function conclude(findings: readonly Finding[], events: readonly unknown[], signer: Signer | null): Verification {
	const bad = findings.filter(({verdict}) => verdict === 'tampered');
	const positions = bad.flatMap(({position}) => (position === undefined ? [] : [position]));
	const file = bad.find((finding) => finding.file !== undefined)?.file;
	const isOpen = findings.length === 0 || findings.some(({verdict}) => verdict === 'cannot_tell');
	return {
		verdict: bad.length > 0 ? 'tampered' : isOpen ? 'cannot_tell' : 'valid',
		runId: runIdOf(events),
		events: events.length,
		keyId: signer?.keyId ?? null,
		checks: findings.map(({name, verdict, detail}) => ({name, passed: verdict === 'valid', detail})),
		position: positions.length > 0 ? Math.min(...positions) : null,
		...(file === undefined ? {} : {file}),
	};
}

function readFile(capsule: unknown): {value: unknown; findings: Finding[]} {
	if (typeof capsule !== 'string' && !(capsule instanceof Uint8Array)) return {value: capsule, findings: []};
	try {
		const text = typeof capsule === 'string' ? capsule : new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(capsule);
		const value: unknown = JSON.parse(text);
		// Anything else reads differently to different readers: keys given twice, for one.
		const isExact = text === `${canonical(value)}\n`;
		const finding: Finding = isExact
			? {name: 'file', verdict: 'valid', detail: `${text.length} characters, as exported`}
			: {name: 'file', verdict: 'tampered', detail: 'the file is not in the form in which it was exported'};
		return {value, findings: [finding]};
	} catch {
		return {value: undefined, findings: []};
	}
}

function checkSeal({seal, ...content}: Readonly<Record<string, unknown>>, signer: Signer): Finding {
	const name = 'seal';
	if (isSigned(content, seal, signer)) return {name, verdict: 'valid', detail: 'all of the capsule is as it was exported'};
	return {name, verdict: 'tampered', detail: 'something in the capsule was changed after it was exported'};
}

export function checkTrust({keyId}: Signer, trustedKeyId: string | undefined): Finding {
	if (trustedKeyId === undefined) {
		const detail = `nobody vouched for key ${keyId}; compare it with the .pub file of the platform that ran this`;
		return {name: 'self-signed key', verdict: 'valid', detail};
	}
	if (keyId === trustedKeyId) return {name: 'key', verdict: 'valid', detail: `signed with the trusted key ${keyId}`};
	return {name: 'key', verdict: 'cannot_tell', detail: `signed with key ${keyId}, not with the trusted key ${trustedKeyId}`};
}

export function checkHeader(header: unknown, events: readonly unknown[]): Finding {
	const [first, last] = [tryParse(events[0]), tryParse(events.at(-1))];
	const started = first?.type === 'run.started' ? first : null;
	const finished = last?.type === 'run.finished' ? last : null;
	const expected = {
		runId: runIdOf(events),
		job: started?.data.job ?? null,
		mode: started?.data.mode ?? null,
		question: started?.data.question ?? null,
		startedAt: started?.at ?? null,
		status: finished?.data.status ?? null,
		finishedAt: finished?.at ?? null,
	};
	const agrees = tryDigest(header) === digest(expected);
	if (agrees) return {name: 'header', verdict: 'valid', detail: 'it says what the events say'};
	return {name: 'header', verdict: 'tampered', detail: 'it does not say what the events say'};
}

/** `foreign` is what a head by another key means: in a capsule an edit, in a store perhaps an older key. */
export function checkRun(
	events: readonly unknown[],
	head: unknown,
	signer: Signer | null,
	foreign: Finding['verdict'],
): Finding[] {
	if (events.length === 0) return [{name: 'chain', verdict: 'cannot_tell', detail: 'there are no events to look at'}];
	const chain = checkChain(events);
	const {parsed, schema} = parseAll(events);
	const end = checkHead(events, head, signer, foreign);
	// What a broken chain says about its actions is worth nothing, and its break is what matters.
	const sound = chain.verdict === 'valid' && schema.verdict === 'valid';
	return [chain, schema, ...(sound ? [checkOrder(parsed), ...checkConduct(parsed)] : []), ...end];
}

export function checkChain(events: readonly unknown[]): Finding {
	let prev = '0'.repeat(64);
	const runId = runIdOf(events);
	for (const [index, event] of events.entries()) {
		const fault = isRecord(event) ? linkFault(event, {seq: index + 1, runId, prev}) : 'it is no event';
		if (fault) return {name: 'chain', verdict: 'tampered', detail: `event ${index + 1}: ${fault}`, position: index + 1};
		prev = String((event as {hash?: unknown}).hash);
	}
	return {name: 'chain', verdict: 'valid', detail: `${events.length} events, each linked to the one before and hashed again`};
}

type Place = {readonly seq: number; readonly runId: string | null; readonly prev: string};

function linkFault(event: Readonly<Record<string, unknown>>, {seq, runId, prev}: Place): string | null {
	if (event.seq !== seq) return `its number is ${event.seq}: an event is missing, doubled or out of place`;
	if (event.runId !== runId) return 'it belongs to another run';
	if (event.prev !== prev) return 'it does not follow from the event before it';
	return hashMatches(event) ? null : 'its hash does not match its content';
}

/** In version 2 content counts by its salted digest, which is all that is left when it was erased. Then nothing may stand in its place. */
function hashMatches({hash, salt, erased, ...event}: Readonly<Record<string, unknown>>): boolean {
	const fields = Object.keys(CONTENT[event.type as EventType] ?? {});
	if (event.v !== 2 || fields.length === 0) return tryDigest({...event, salt, erased}) === hash;
	// The digest takes this place in what is hashed: whatever stood here would not count.
	if (!isRecord(event.data) || Object.hasOwn(event, 'content')) return false;
	const kept: Record<string, unknown> = {...event.data};
	const content: Record<string, unknown> = {};
	for (const field of fields) {
		if (!Object.hasOwn(kept, field)) continue;
		content[field] = kept[field];
		delete kept[field];
	}
	if (erased !== undefined && (salt !== undefined || Object.keys(content).length > 0)) return false;
	const counted = erased ?? tryDigest({content, salt});
	return counted !== null && tryDigest({...event, data: kept, content: counted}) === hash;
}

function parseAll(events: readonly unknown[]): {parsed: readonly Event[]; schema: Finding} {
	const parsed: Event[] = [];
	for (const [index, raw] of events.entries()) {
		const event = tryParse(raw);
		const detail = `event ${index + 1} is not of a type and shape that is known here`;
		if (!event) return {parsed, schema: {name: 'schema', verdict: 'tampered', detail, position: index + 1}};
		parsed.push(event);
	}
	return {parsed, schema: {name: 'schema', verdict: 'valid', detail: `${parsed.length} events have the shape of their type`}};
}

function checkOrder(events: readonly Event[]): Finding {
	const name = 'order';
	const fail = (position: number, detail: string): Finding => ({name, verdict: 'tampered', detail, position});
	for (const [index, event] of events.entries()) {
		const before = events[index - 1];
		if (before && Date.parse(event.at) < Date.parse(before.at)) return fail(event.seq, 'it is dated before the event it follows');
		if (before?.type === 'run.finished') return fail(event.seq, 'it follows the end of the run');
		if ((event.type === 'run.started') !== (index === 0)) return fail(event.seq, 'a run starts once, with its first event');
	}
	return {name, verdict: 'valid', detail: `from ${events[0]?.at} to ${events.at(-1)?.at}`};
}

function checkHead(events: readonly unknown[], raw: unknown, signer: Signer | null, foreign: Finding['verdict']): Finding[] {
	const name = 'head';
	const count = events.length;
	if (raw === null || raw === undefined) {
		if (tryParse(events.at(-1))?.type !== 'run.finished')
			return [{name, verdict: 'cannot_tell', detail: 'the run has not finished, so its end is not signed'}];
		return [{name, verdict: 'tampered', detail: 'the run has finished, but its signed head is gone', position: count}];
	}
	const {data: head} = signedHeadSchema.safeParse(raw);
	if (!head) return [{name, verdict: 'tampered', detail: 'the signed head is damaged', position: count}];
	return [compareHead(events, head), checkSignature(head, count, signer, foreign)];
}

function compareHead(events: readonly unknown[], head: SignedHead): Finding {
	const name = 'head';
	const count = events.length;
	const fail = (detail: string, position = count): Finding => ({name, verdict: 'tampered', detail, position});
	const last = events.at(-1);
	if (head.seq > count) return fail(`the run has ${head.seq} events, of which ${count} are here`, count + 1);
	if (head.seq < count) return fail(`the run ended with event ${head.seq}`, head.seq + 1);
	if (!isRecord(last) || last.type !== 'run.finished') return fail('a head is signed when a run finishes, and this one has not');
	if (head.hash !== last.hash || head.at !== last.at || head.runId !== last.runId)
		return fail('the last event is not the one that was signed');
	return {name, verdict: 'valid', detail: `event ${head.seq} is the signed end`};
}

function checkSignature(head: SignedHead, position: number, signer: Signer | null, foreign: Finding['verdict']): Finding {
	const {signature, ...statement} = head;
	const name = 'signature';
	if (!signer) return {name, verdict: 'cannot_tell', detail: 'there is no key to check the signature with'};
	if (isSigned(statement, signature, signer)) return {name, verdict: 'valid', detail: `Ed25519 by key ${signer.keyId}`};
	if (head.keyId !== signer.keyId)
		return {name, verdict: foreign, detail: `made with key ${head.keyId}, not ${signer.keyId}`, position};
	return {name, verdict: 'tampered', detail: 'the signature does not match the head', position};
}

function runIdOf([first]: readonly unknown[]): string | null {
	return isRecord(first) && typeof first.runId === 'string' ? first.runId : null;
}

export function tryParse(value: unknown): Event | null {
	try {
		return parseEvent(value);
	} catch {
		return null;
	}
}

export function readSigner(publicKey: unknown): Signer | null {
	try {
		const der = decode(publicKey);
		const key = createPublicKey({key: der, format: 'der', type: 'spki'});
		const exact = key.export({format: 'der', type: 'spki'}).equals(der);
		if (key.asymmetricKeyType !== 'ed25519' || !exact) return null;
		return {key, keyId: createHash('sha256').update(der).digest('hex')};
	} catch {
		return null;
	}
}

function isSigned(content: unknown, signature: unknown, {key}: Signer): boolean {
	try {
		return verify(null, Buffer.from(canonical(content), 'utf8'), key, decode(signature));
	} catch {
		return false;
	}
}

/** Strict: base64 has several spellings of the same bytes, and an edited one is an edit. */
export function decode(base64: unknown): Buffer {
	const bytes = Buffer.from(String(base64), 'base64');
	if (bytes.toString('base64') !== base64) throw new TypeError('not base64');
	return bytes;
}
