/** The log of all runs as it lies in a directory, on its own and against an anchor that saw it grow. */
import type {Verification} from '#contract/api.ts';
import {signedHeadSchema} from '#contract/event.ts';
import {canonical} from './canonical.ts';
import {conclude, type Signer} from './verify.ts';
import type {Finding} from './verify-conduct.ts';
import {checkKeys, isSignedBy} from './verify-keys.ts';
import {type Checkpoint, expectedTiles, growRoots, hashLeaf, parseOr, readAnchor, readCheckpoint} from './verify-log.ts';

type Files = ReadonlyMap<string, Uint8Array>;

/**
 * Checks a log directory: its tiles lead to its signed checkpoint, and every leaf is a signed head. With `anchor` a truncation or a fork
 * since is found; `position` is the number of the first run that is missing or another. Never throws.
 */
export function verifyLog(
	files: Files,
	{trustedKeyId, anchor}: {readonly trustedKeyId?: string; readonly anchor?: string},
): Verification {
	const {findings, signers} = checkKeys(parseOr(files.get('keys.json')).value, trustedKeyId);
	const signer = signers.at(-1) ?? null;
	if (!signer) return conclude(findings, [], null);
	const checkpoint = readCheckpoint(files.get('checkpoint') ?? new Uint8Array(), signers);
	if (typeof checkpoint === 'string')
		return conclude([...findings, {name: 'checkpoint', verdict: 'tampered', detail: checkpoint, file: 'checkpoint'}], [], signer);
	const entries = readEntries(files);
	const heads = typeof entries === 'string' ? [] : entries;
	const leaves = heads.map(hashLeaf);
	const roots = growRoots(leaves);
	const tiles = typeof entries === 'string' ? damaged(entries, 'it cannot be read') : checkTiles(files, heads, roots, checkpoint);
	const all = [...findings, tiles, ...(tiles.verdict === 'valid' ? [checkHeads(heads, signers)] : [])];
	const result = conclude(
		[...all, compareAll(checkpoint.origin, roots, anchor === undefined ? null : readAnchor(anchor, signers))],
		[],
		signer,
	);
	return {...result, events: leaves.length};
}

function damaged(file: string, detail: string): Finding {
	return {name: 'tiles', verdict: 'tampered', detail: `${file}: ${detail}`, file};
}

/** The path of the tile that cannot be read, or the entries of all. */
function readEntries(files: Files): readonly Buffer[] | string {
	const paths = [...files.keys()].filter((path) => path.startsWith('tile/entries/')).sort();
	const entries: Buffer[] = [];
	for (const path of paths) {
		const bytes = Buffer.from(files.get(path) ?? new Uint8Array());
		for (let at = 0; at < bytes.length; ) {
			const end = at + 2 + (at + 2 <= bytes.length ? bytes.readUInt16BE(at) : bytes.length);
			if (end > bytes.length) return path;
			entries.push(bytes.subarray(at + 2, end));
			at = end;
		}
	}
	return entries;
}

function checkTiles(files: Files, entries: readonly Buffer[], roots: readonly Buffer[], {size, root}: Checkpoint): Finding {
	const expected = expectedTiles(entries);
	for (const [path, bytes] of expected)
		if (!files.has(path) || !bytes.equals(files.get(path) ?? bytes)) return damaged(path, 'it is not of these entries');
	const extra = [...files.keys()].find((path) => path.startsWith('tile/') && !expected.has(path));
	if (extra) return damaged(extra, 'no tile of this log');
	if (size !== entries.length) return damaged('checkpoint', `it is of ${size} runs, and there are ${entries.length}`);
	if (size > 0 && !roots[size - 1]?.equals(root)) return damaged('checkpoint', 'the tiles do not lead to its root');
	return {
		name: 'tiles',
		verdict: size > 0 ? 'valid' : 'cannot_tell',
		detail: `${expected.size} lead to the signed root of ${size} runs`,
	};
}

function checkHeads(entries: readonly Buffer[], signers: readonly Signer[]): Finding {
	const name = 'heads';
	for (const [index, entry] of entries.entries()) {
		const {data} = signedHeadSchema.safeParse(parseOr(entry).value);
		const {signature, ...statement} = data ?? {signature: '', keyId: ''};
		const signer = signers.find(({keyId}) => keyId === statement.keyId);
		const position = index + 1;
		if (data && !signer)
			return {name, verdict: 'cannot_tell', detail: `run ${position} was signed by another server, key ${data.keyId}`};
		if (!signer || !isSignedBy(signer, canonical(statement), signature))
			return {name, verdict: 'tampered', detail: `the head of run ${position} is not signed`, position};
	}
	return {name, verdict: 'valid', detail: `${entries.length} heads of runs, each signed`};
}

function compareAll(origin: string, roots: readonly Buffer[], anchored: readonly Checkpoint[] | null): Finding {
	const name = 'anchor';
	if (anchored === null)
		return {
			name,
			verdict: 'valid',
			detail: 'compared with none (--anchor): a log that was cut or rewritten whole looks like this too',
		};
	const own = anchored.filter((each) => each.origin === origin).sort((a, b) => a.size - b.size);
	for (const {size, root} of own) {
		if (size > roots.length)
			return {
				name,
				verdict: 'tampered',
				detail: `${size} runs were anchored, of which ${roots.length} are here`,
				position: roots.length + 1,
			};
		if (size > 0 && !roots[size - 1]?.equals(root))
			return {name, verdict: 'tampered', detail: `run ${size} is not the one that was anchored`, position: size};
	}
	if (own.length === 0) return {name, verdict: 'cannot_tell', detail: 'it has no checkpoint of this log'};
	return {name, verdict: 'valid', detail: `${own.length} checkpoints, up to ${own.at(-1)?.size} runs, are of this log`};
}
