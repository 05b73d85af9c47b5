/**
 * The offline verifier of bundles. Like `verify.ts` it shares the canonical form with the writer and nothing else. What does not
 * match the seal is not evidence: then only the place of the damage is looked for.
 */
import {createHash} from 'node:crypto';
import type {Verification} from '#contract/api.ts';
import type {Event} from '#contract/event.ts';
import {isRecord} from '#contract/json.ts';
import {checkChain, checkErasure, checkHeader, checkRun, conclude, type Signer, tryParse} from './verify.ts';
import type {Finding} from './verify-conduct.ts';
import {checkKeys, type KeyChain} from './verify-keys.ts';
import {checkPlace, checkTree} from './verify-log.ts';
import {checkStatements, isSeal, openEnvelope, parseExact, SEAL} from './verify-statements.ts';
import {unpackTar} from './verify-tar.ts';

const SUMMARY = 'evidence.json';
const EVENTS = 'log/events.jsonl';

type Files = ReadonlyMap<string, Uint8Array>;
type Trust = {
	readonly trustedKeyId?: string;
	/** the text of the file in which checkpoints were kept elsewhere */
	readonly anchor?: string;
};

/**
 * Checks a bundle: the bytes of its archive, or its files by path. Never throws. The verdicts are those of `verifyCapsule`; `file`
 * names the first file that is wrong, `position` the first event.
 */
export function verifyBundle(source: Uint8Array | Files, trust: Trust = {}): Verification {
	if (!(source instanceof Uint8Array)) return verifyFiles(source, trust);
	const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
	if (!bytes.includes(SEAL) && !bytes.includes(SUMMARY)) return noBundle();
	const {files, fault} = unpackTar(source);
	if (!fault) return verifyFiles(files, trust);
	return conclude([{name: 'archive', verdict: 'tampered', ...fault}], [], null);
}

function noBundle(): Verification {
	const detail = 'this is no bundle of format writ-bundle/1; export one with `writ evidence export RUN --bundle OUT`';
	return conclude([{name: 'format', verdict: 'cannot_tell', detail}], [], null);
}

function verifyFiles(files: Files, {trustedKeyId, anchor}: Trust): Verification {
	if (!files.has(SEAL) && !files.has(SUMMARY)) return noBundle();
	const keys = checkKeys(parseFile(files, 'keys.json')?.value, trustedKeyId);
	const signer = keys.signers.at(-1) ?? null;
	if (!signer) return conclude(keys.findings, [], null);
	const hashes = new Map([...files].map(([path, bytes]) => [path, createHash('sha256').update(bytes).digest('hex')]));
	const seal = checkSeal(files, hashes, signer);
	if (seal.verdict !== 'valid' && seal.file !== EVENTS) return conclude([seal, ...keys.findings], [], signer);
	const {events, exact} = readEvents(files.get(EVENTS));
	// The first event that is wrong is more than the name of their file.
	if (seal.verdict !== 'valid') return conclude([seal, {...checkChain(events), file: EVENTS}, ...keys.findings], events, signer);
	const sealed = {files, hashes, signer};
	const head = parseFile(files, 'log/head.json')?.value;
	const byHead = keys.signers.find(({keyId}) => isRecord(head) && keyId === head.keyId) ?? signer;
	const parsed = events.map(tryParse);
	const run = checkRun(events, head, byHead, 'tampered').map((finding) => inEvents(finding));
	const erasure = readErasure(files);
	const isSound = run.every(({verdict}) => verdict === 'valid');
	const place = isSound ? checkPlace(files, keys.signers, anchor) : [];
	return conclude(
		[
			seal,
			...keys.findings,
			...(exact ? [] : [{name: 'events', verdict: 'tampered', detail: 'they are not in canonical form', file: EVENTS} as const]),
			...run,
			...checkErasure(events, erasure, keys.signers),
			// What a broken chain is said to show is worth nothing, and its break is what matters.
			...(isSound ? [...checkContent(sealed, parsed as Event[]), ...place] : []),
			...checkRevoked(keys, byHead, place),
			...checkEraser(keys, erasure?.head),
		],
		events,
		signer,
	);
}

function checkContent(sealed: {files: Files; hashes: ReadonlyMap<string, string>; signer: Signer}, events: readonly Event[]) {
	const {files, hashes, signer} = sealed;
	const summary = parseFile(files, SUMMARY)?.value;
	const header: Finding = {...checkHeader(isRecord(summary) ? summary.run : null, events), file: SUMMARY};
	return [
		header,
		checkStatements(sealed, events),
		checkTree(files, events, events[0]?.runId ?? '', signer),
		checkArtifacts(files, hashes, events),
	];
}

function readErasure(files: Files) {
	const bytes = files.get('log/erasure/events.jsonl');
	return bytes && {events: readEvents(bytes).events, head: parseFile(files, 'log/erasure/head.json')?.value};
}

function inEvents(finding: Finding): Finding {
	const file = finding.name === 'head' || finding.name === 'signature' ? 'log/head.json' : EVENTS;
	return finding.verdict === 'tampered' ? {...finding, file} : finding;
}

/** Who stole a key can sign for any day. Only what was anchored before is known to be older. */
function checkRevoked({revoked}: KeyChain, {keyId}: Signer, place: readonly Finding[]): Finding[] {
	const reason = revoked.get(keyId);
	if (reason === undefined) return [];
	const isAnchored = place.some(({name, verdict}) => name === 'anchor' && verdict === 'valid');
	const what = isAnchored ? 'but the run was anchored' : 'and no anchor (--anchor) says that the run is older';
	return [
		{name: 'revoked key', verdict: isAnchored ? 'valid' : 'cannot_tell', detail: `${keyId} was revoked (${reason}), ${what}`},
	];
}

/** An anchor says that the run is older than the theft of a key. Of the record of its erasure it says nothing. */
function checkEraser({revoked}: KeyChain, head: unknown): Finding[] {
	const keyId = isRecord(head) ? String(head.keyId) : '';
	const reason = revoked.get(keyId);
	if (reason === undefined) return [];
	const detail = `${keyId} signed the record of what was erased, and was revoked (${reason})`;
	return [{name: 'revoked key', verdict: 'cannot_tell', detail}];
}

/** The seal is signed and names every file but itself, with its digest. */
function checkSeal(files: Files, hashes: ReadonlyMap<string, string>, signer: Signer): Finding {
	const name = 'seal';
	const fail = (file: string, detail: string): Finding => ({name, verdict: 'tampered', detail: `${file}: ${detail}`, file});
	const bytes = files.get(SEAL);
	if (!bytes) return fail(SEAL, 'it is missing');
	const {statement, fault} = openEnvelope(bytes, signer);
	if (!statement || !isSeal(statement)) return fail(SEAL, fault ?? 'it is no seal');
	const named = new Set<string>([SEAL]);
	for (const {name: path, digest} of statement.subject) {
		if (!files.has(path)) return fail(path, 'it is missing');
		if (hashes.get(path) !== digest.sha256) return fail(path, 'it is not what was exported');
		named.add(path);
	}
	const extra = [...files.keys()].sort().find((path) => !named.has(path));
	if (extra !== undefined) return fail(extra.toWellFormed(), 'it was not part of the export');
	return {name, verdict: 'valid', detail: `${statement.subject.length} files, as they were exported`};
}

/** Every artifact is what its name says, and every input and output is there. */
function checkArtifacts(files: Files, hashes: ReadonlyMap<string, string>, events: readonly Event[]): Finding {
	const name = 'artifacts';
	const fail = (file: string, detail: string): Finding => ({name, verdict: 'tampered', detail: `${file}: ${detail}`, file});
	const paths = [...files.keys()].filter((path) => path.startsWith('artifacts/'));
	const wrong = paths.find((path) => hashes.get(path) !== path.slice('artifacts/'.length));
	if (wrong) return fail(wrong, 'its name is not its digest');
	const needed = events.flatMap((event) => {
		if (event.erased !== undefined) return [];
		if (event.type === 'action.proposed') return [event.data.inputDigest];
		return event.type === 'action.outcome' ? [event.data.outputDigest] : [];
	});
	const missing = needed.find((digest) => !files.has(`artifacts/${digest}`));
	if (missing) return fail(`artifacts/${missing}`, 'an input or an output is missing');
	return {name, verdict: 'valid', detail: `${paths.length} under their digests, ${needed.length} of them inputs and outputs`};
}

function readEvents(bytes: Uint8Array | undefined): {readonly events: readonly unknown[]; readonly exact: boolean} {
	const text = Buffer.from(bytes ?? new Uint8Array()).toString('utf8');
	const lines = text.split('\n');
	const ended = lines.pop() === '';
	const read = lines.map((line) => {
		try {
			return parseExact(Buffer.from(`${line}\n`));
		} catch {
			return {value: line, isExact: false};
		}
	});
	return {events: read.map(({value}) => value), exact: ended && read.every(({isExact}) => isExact)};
}

function parseFile(files: Files, path: string): {readonly value: unknown; readonly isExact: boolean} | null {
	try {
		return parseExact(files.get(path) ?? new Uint8Array());
	} catch {
		return null; // each reader says what it misses
	}
}
