/** What a bundle states, against what its events say. */
import {z} from 'zod';
import type {Event, EventData, EventType} from '#contract/event.ts';
import {canonical} from './canonical.ts';
import {decode, type Signer} from './verify.ts';
import type {Finding} from './verify-conduct.ts';
import {isSignedBy} from './verify-keys.ts';

const TYPE = 'application/vnd.in-toto+json';
const PREDICATES = {
	action: 'urn:writ:action-decision/v1',
	test: 'https://in-toto.io/attestation/test-result/v0.1',
	verdict: 'https://slsa.dev/verification_summary/v1',
	bundle: 'urn:writ:bundle/v1',
} as const;

const envelopeSchema = z.strictObject({
	payloadType: z.literal(TYPE),
	payload: z.string(),
	signatures: z.array(z.strictObject({keyid: z.string(), sig: z.string()})).length(1),
});
const statementSchema = z.strictObject({
	_type: z.literal('https://in-toto.io/Statement/v1'),
	subject: z.array(z.object({name: z.string(), digest: z.object({sha256: z.string()})})).min(1),
	predicateType: z.string(),
	predicate: z.record(z.string(), z.unknown()),
});
export type Stated = z.infer<typeof statementSchema>;

type Opened = {readonly statement: Stated | null; readonly fault: string | null};

/** The statement of an envelope that `signer` signed, in the one form in which it is exported. */
export function openEnvelope(bytes: Uint8Array, signer: Signer): Opened {
	const no = (fault: string): Opened => ({statement: null, fault});
	try {
		const {value, isExact} = parseExact(bytes);
		const {data: envelope} = envelopeSchema.safeParse(value);
		if (!envelope || !isExact) return no('it is no envelope in the form in which it was exported');
		const payload = decode(envelope.payload).toString('utf8');
		const [signature] = envelope.signatures;
		if (signature?.keyid !== signer.keyId) return no(`it names another key than ${signer.keyId}`);
		const signed = `DSSEv1 ${TYPE.length} ${TYPE} ${Buffer.byteLength(payload)} ${payload}`;
		if (!isSignedBy(signer, signed, signature.sig)) return no('the signature does not match the payload');
		const {data: statement} = statementSchema.safeParse(JSON.parse(payload));
		return statement ? {statement, fault: null} : no('its payload is no in-toto statement');
	} catch {
		return no('it is no envelope');
	}
}

/** JSON, and whether it stands there in canonical form with one line feed. Throws on what is no JSON. */
export function parseExact(bytes: Uint8Array): {readonly value: unknown; readonly isExact: boolean} {
	const text = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
	const value: unknown = JSON.parse(text);
	return {value, isExact: text === `${canonical(value)}\n`};
}

export function isSeal({predicateType}: Stated): boolean {
	return predicateType === PREDICATES.bundle;
}

type Sealed = {
	readonly files: ReadonlyMap<string, Uint8Array>;
	readonly hashes: ReadonlyMap<string, string>;
	readonly signer: Signer;
};

/** Every statement is signed, about events of this run, and true of them; every action has its statement, and the verdict names all. */
export function checkStatements({files, hashes, signer}: Sealed, events: readonly Event[]): Finding {
	const name = 'statements';
	const fail = (file: string, detail: string): Finding => ({name, verdict: 'tampered', detail: `${file}: ${detail}`, file});
	const byHash = new Map(events.map((event) => [event.hash, event]));
	const paths = [...files.keys()].filter((path) => path.startsWith('statements/') && path !== SEAL).sort();
	const stated = new Map<string, Stated>();
	for (const path of paths) {
		const {statement, fault} = openEnvelope(files.get(path) ?? new Uint8Array(), signer);
		if (!statement) return fail(path, fault ?? 'it cannot be read');
		const kind = /^statements\/(action|test|verdict)[-.]/.exec(path)?.[1] as 'action' | 'test' | 'verdict' | undefined;
		if (!kind || statement.predicateType !== PREDICATES[kind]) return fail(path, 'it is not of the type that its name says');
		const about = statement.subject.map(({digest}) => byHash.get(digest.sha256));
		const wrong = about.includes(undefined)
			? 'it is about an event that is not of this run'
			: RULES[kind](statement, about as Event[]);
		if (wrong) return fail(path, wrong);
		stated.set(path, statement);
	}
	const missing = findMissing(stated, events);
	if (missing) return fail(missing, 'it is missing, so an action goes without its statement');
	const verdict = stated.get(VERDICT);
	if (!verdict) return fail(VERDICT, 'it is missing');
	const inputs = paths.filter((path) => path !== VERDICT).map((path) => ({uri: path, digest: {sha256: hashes.get(path)}}));
	if (canonical(verdict.predicate.inputAttestations) !== canonical(inputs))
		return fail(VERDICT, 'it is not about these statements');
	return {name, verdict: 'valid', detail: `${paths.length + 1} envelopes signed by key ${signer.keyId} and true of the events`};
}

export const SEAL = 'statements/bundle.dsse.json';
const VERDICT = 'statements/verdict.dsse.json';

/** The path of the first action's or sandboxed run's statement that is not there. */
function findMissing(stated: ReadonlyMap<string, Stated>, events: readonly Event[]): string | null {
	const proposed = events.filter((event) => event.type === 'action.proposed');
	for (const [index, {data}] of proposed.entries()) {
		const place = `${String(index + 1).padStart(4, '0')}.dsse.json`;
		const action = stated.get(`statements/action-${place}`);
		if (action?.predicate.actionId !== data.actionId) return `statements/action-${place}`;
		const outcome = lastOf(events, 'action.outcome', data.actionId);
		if (outcome?.isolation && !stated.has(`statements/test-${place}`)) return `statements/test-${place}`;
	}
	return null;
}

type Rule = (statement: Stated, about: readonly Event[]) => string | null;

/** Each says what is wrong with a statement about these events. */
const RULES: Readonly<Record<'action' | 'test' | 'verdict', Rule>> = {
	action({predicate}, about) {
		const [proposed] = about;
		if (proposed?.type !== 'action.proposed') return 'it does not begin with a proposal';
		const {actionId, tool, inputDigest} = proposed.data;
		if (about.some(({data}) => !('actionId' in data) || data.actionId !== actionId)) return 'it is about more than one action';
		const decision = lastOf(about, 'action.decided', actionId)?.decision;
		const outcome = lastOf(about, 'action.outcome', actionId);
		const erased = about.findLast(({type}) => type === 'action.outcome')?.erased;
		const verified = lastOf(about, 'action.verified', actionId);
		const asked = lastOf(about, 'approval.requested', actionId);
		const rules = [...new Set(decision?.gates.flatMap((gate) => gate.rules))];
		const says = [
			...[predicate.actionId, predicate.tool, at(predicate, 'input', 'sha256')],
			...[at(predicate, 'decision', 'effect'), at(predicate, 'decision', 'policyVersion'), predicate.risk, predicate.ruleIds],
			...[
				at(predicate, 'approval', 'digest', 'sha256'),
				at(predicate, 'outcome', 'status'),
				at(predicate, 'outcome', 'output', 'sha256'),
			],
			...[predicate.labels, predicate.verdict],
		];
		const was = [
			...[actionId, tool, proposed.erased ?? inputDigest, decision?.effect, decision?.policyVersion, decision?.risk, rules],
			...[asked?.binding, outcome?.status, erased ?? outcome?.outputDigest, outcome?.labels ?? [], verified?.verdict.kind],
		];
		return same(says, was) ? null : 'it does not say what the events say of this action';
	},
	test({predicate}, about) {
		const outcome = about.find((event) => event.type === 'action.outcome');
		if (!outcome) return 'it is about nothing that ran';
		const [passed, failed] = [listOf(predicate.passedTests), listOf(predicate.failedTests)];
		const warned = listOf(predicate.warnedTests);
		if (passed.length + failed.length + warned.length === 0)
			return 'it names no test, and a check that examined nothing has failed';
		const result = failed.length > 0 ? 'FAILED' : warned.length > 0 ? 'WARNED' : 'PASSED';
		if (predicate.result !== result) return `it says ${String(predicate.result)}, but its tests say ${result}`;
		return result !== 'PASSED' || outcome.data.status === 'succeeded' ? null : 'it says PASSED of what did not succeed';
	},
	verdict: ({predicate}, about) =>
		about[0]?.type === 'run.finished' && predicate.timeVerified === about[0].at ? null : 'it is not about the end of the run',
};

function lastOf<T extends EventType>(events: readonly Event[], type: T, actionId: string): EventData<T> | undefined {
	const found = events.findLast((event) => event.type === type && (event.data as {actionId?: string}).actionId === actionId);
	return found?.data as EventData<T> | undefined;
}

function at(value: unknown, ...path: readonly string[]): unknown {
	return path.reduce<unknown>((inner, key) => (inner as Readonly<Record<string, unknown>> | null | undefined)?.[key], value);
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
	const nulls = (values: readonly unknown[]) => values.map((value) => value ?? null);
	return canonical(nulls(a)) === canonical(nulls(b));
}

function listOf(value: unknown): readonly unknown[] {
	return Array.isArray(value) ? value : [];
}
