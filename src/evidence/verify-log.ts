/** Trees of RFC 6962 and notes of C2SP, as a reader checks them. */
import {createHash} from 'node:crypto';
import {decode, type Signer} from './verify.ts';
import type {Finding} from './verify-conduct.ts';
import {isSignedBy} from './verify-keys.ts';
import {parseExact} from './verify-statements.ts';

const TILE = 256;

export function hashLeaf(entry: Uint8Array): Buffer {
	return createHash('sha256').update('\0').update(entry).digest();
}

function hashNode(left: Uint8Array, right: Uint8Array): Buffer {
	return createHash('sha256').update('\u0001').update(left).update(right).digest();
}

/** The root over leaf hashes, computed as the definition says it: split at the largest power of two below the size. */
export function treeRoot(leaves: readonly Buffer[]): Buffer {
	const [only] = leaves;
	if (only === undefined) return createHash('sha256').digest();
	if (leaves.length === 1) return only;
	const split = 2 ** Math.floor(Math.log2(leaves.length - 1));
	return hashNode(treeRoot(leaves.slice(0, split)), treeRoot(leaves.slice(split)));
}

/** The root that a proof leads to from a leaf; null when the proof is not of the length that index and size demand. */
export function rootFromProof(leaf: Buffer, index: number, size: number, proof: readonly Buffer[]): Buffer | null {
	if (index < 0 || index >= size) return null;
	let [at, last, root] = [index, size - 1, leaf];
	for (const sibling of proof) {
		if (last === 0) return null;
		if (at % 2 === 1 || at === last) {
			root = hashNode(sibling, root);
			while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
		} else {
			root = hashNode(root, sibling);
		}
		[at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
	}
	return last === 0 ? root : null;
}

export type Checkpoint = {readonly origin: string; readonly size: number; readonly root: Buffer};

/** A checkpoint that one of the signers signed; otherwise why it is none. */
export function readCheckpoint(bytes: Uint8Array, signers: readonly Signer[]): Checkpoint | string {
	const text = Buffer.from(bytes).toString('utf8');
	const [, note = '', origin = '', size = '', root = '', name, signature = ''] =
		/^(([^\n+ ]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n)\n— ([^\n+ ]+) ([A-Za-z0-9+/=]+)\n$/.exec(text) ?? [];
	if (note === '' || name !== origin) return 'it is no checkpoint';
	const signed = signers.some((signer) => {
		const raw = signer.key.export({format: 'der', type: 'spki'}).subarray(-32);
		const id = createHash('sha256').update(`${origin}\n\u0001`, 'latin1').update(raw).digest().subarray(0, 4);
		const given = Buffer.from(signature, 'base64');
		const isExact = given.toString('base64') === signature && given.subarray(0, 4).equals(id);
		return isExact && isSignedBy(signer, note, given.subarray(4).toString('base64'));
	});
	if (!signed) return 'its signature does not match';
	const hash = Buffer.from(root, 'base64');
	return hash.toString('base64') === root ? {origin, size: Number(size), root: hash} : 'it is no checkpoint';
}

/** The files that a log of these entries has, by path: what is there has to be exactly this. */
export function expectedTiles(entries: readonly Uint8Array[]): ReadonlyMap<string, Buffer> {
	const files = new Map<string, Buffer>();
	const cut = <T>(values: readonly T[]) =>
		Array.from({length: Math.ceil(values.length / TILE)}, (_, index) => values.slice(index * TILE, (index + 1) * TILE));
	let hashes: readonly Buffer[] = entries.map(hashLeaf);
	for (let level = 0; hashes.length > 0; level += 1) {
		const tiles = cut(hashes);
		for (const [index, tile] of tiles.entries()) files.set(pathOf(`${level}`, index, tile.length), Buffer.concat(tile));
		hashes = tiles.filter(({length}) => length === TILE).map(treeRoot);
	}
	for (const [index, bundle] of cut(entries).entries()) {
		const parts = bundle.flatMap((entry) => [Buffer.from([entry.length >> 8, entry.length & 255]), entry]);
		files.set(pathOf('entries', index, bundle.length), Buffer.concat(parts));
	}
	return files;
}

function pathOf(level: string, index: number, width: number): string {
	const groups: string[] = [];
	for (let rest = index; groups.length === 0 || rest > 0; rest = Math.floor(rest / 1_000))
		groups.unshift(`${groups.length > 0 ? 'x' : ''}${String(rest % 1_000).padStart(3, '0')}`);
	return `tile/${level}/${groups.join('/')}${width === TILE ? '' : `.p/${width}`}`;
}

type Link = {readonly seq: number; readonly hash: string};

/** The tree over a run's events: its tiles, its checkpoint and its proofs lead to one root. */
export function checkTree(
	files: ReadonlyMap<string, Uint8Array>,
	events: readonly Link[],
	runId: string,
	signer: Signer,
): Finding {
	const name = 'log';
	const fail = (file: string, detail: string): Finding => ({name, verdict: 'tampered', detail: `${file}: ${detail}`, file});
	const entries = events.map(({seq, hash}) => Buffer.from(`${seq} ${hash}\n`));
	const expected = expectedTiles(entries);
	for (const [path, bytes] of expected)
		if (!files.has(`log/${path}`) || !bytes.equals(files.get(`log/${path}`) ?? bytes))
			return fail(`log/${path}`, 'it is not of these events');
	const extra = [...files.keys()].find((path) => path.startsWith('log/tile/') && !expected.has(path.slice('log/'.length)));
	if (extra) return fail(extra, 'no tile of this tree');
	const leaves = entries.map(hashLeaf);
	const checkpoint = readCheckpoint(files.get('log/checkpoint') ?? new Uint8Array(), [signer]);
	if (typeof checkpoint === 'string') return fail('log/checkpoint', checkpoint);
	if (checkpoint.origin !== `writ/run/${runId}`) return fail('log/checkpoint', 'it is of another log');
	if (checkpoint.size !== leaves.length)
		return fail('log/checkpoint', `it is of ${checkpoint.size} events, and there are ${leaves.length}`);
	if (!treeRoot(leaves).equals(checkpoint.root)) return fail('log/checkpoint', 'the events do not lead to its root');
	const proved = checkProofs(files.get('log/proofs.json'), leaves, checkpoint);
	if (typeof proved === 'string') return fail('log/proofs.json', proved);
	return {name, verdict: 'valid', detail: `${leaves.length} leaves lead to the signed root, ${proved} inclusion proofs do`};
}

function checkProofs(bytes: Uint8Array | undefined, leaves: readonly Buffer[], {size, root}: Checkpoint): number | string {
	const {value, isExact} = parseOr(bytes);
	if (!isExact || !Array.isArray(value) || value.length === 0)
		return 'there are no proofs in the form in which they are exported';
	for (const each of value as {seq?: unknown; proof?: unknown}[]) {
		const leaf = leaves[Number(each.seq) - 1];
		const way = decodeAll(each.proof);
		const found = leaf && way ? rootFromProof(leaf, Number(each.seq) - 1, size, way) : null;
		if (!found?.equals(root)) return `the proof of event ${String(each.seq)} does not lead to the root`;
	}
	return value.length;
}

export function decodeAll(texts: unknown): readonly Buffer[] | null {
	try {
		return Array.isArray(texts) ? texts.map(decode) : null;
	} catch {
		return null;
	}
}

export function parseOr(bytes: Uint8Array | undefined): {readonly value: unknown; readonly isExact: boolean} {
	try {
		return parseExact(bytes ?? new Uint8Array());
	} catch {
		return {value: null, isExact: false};
	}
}

/** A run's place in the log of all runs, and that log against checkpoints that were kept elsewhere. */
export function checkPlace(
	files: ReadonlyMap<string, Uint8Array>,
	signers: readonly Signer[],
	anchor: string | undefined,
): Finding[] {
	const name = 'log of all runs';
	const file = 'log/server/checkpoint';
	const bytes = files.get(file);
	if (!bytes) {
		const detail = 'the bundle has no place in a log that could be compared with an anchor';
		return anchor === undefined ? [] : [{name, verdict: 'cannot_tell', detail}];
	}
	const fail = (detail: string): Finding[] => [{name, verdict: 'tampered', detail: `${file}: ${detail}`, file}];
	const checkpoint = readCheckpoint(bytes, signers);
	if (typeof checkpoint === 'string') return fail(checkpoint);
	const {value} = parseOr(files.get('log/server/proof.json'));
	const {index, proof} = (value ?? {}) as {index?: unknown; proof?: unknown};
	const way = decodeAll(proof);
	const root =
		way && rootFromProof(hashLeaf(files.get('log/head.json') ?? new Uint8Array()), Number(index), checkpoint.size, way);
	if (!root?.equals(checkpoint.root)) return fail('the run is not in the log');
	const place: Finding = {name, verdict: 'valid', detail: `finished run ${Number(index) + 1} of ${checkpoint.size}`};
	if (anchor === undefined) return [{...place, detail: `${place.detail}; compared with no anchor (--anchor)`}];
	return [place, checkAnchored(checkpoint, readAnchor(anchor, signers))];
}

/** The checkpoints of an anchor that one of the signers signed; other lines prove nothing. */
export function readAnchor(text: string, signers: readonly Signer[]): readonly Checkpoint[] {
	return text.split('\n').flatMap((line) => {
		try {
			const note: unknown = JSON.parse(line);
			const checkpoint = typeof note === 'string' ? readCheckpoint(Buffer.from(note), signers) : '';
			return typeof checkpoint === 'string' ? [] : [checkpoint];
		} catch {
			return [];
		}
	});
}

function checkAnchored({origin, size, root}: Checkpoint, anchored: readonly Checkpoint[]): Finding {
	const name = 'anchor';
	const same = anchored.filter((each) => each.origin === origin && each.size === size);
	if (same.some((each) => !each.root.equals(root))) {
		const file = 'log/server/checkpoint';
		return {name, verdict: 'tampered', detail: `${file}: the log had another root where its size ${size} was anchored`, file};
	}
	if (same.length > 0)
		return {name, verdict: 'valid', detail: `the checkpoint of size ${size} is anchored, among ${anchored.length}`};
	return {name, verdict: 'cannot_tell', detail: `the anchor has no checkpoint of size ${size} by a key of this bundle`};
}

/** The root of every size from 1 on. */
export function growRoots(leaves: readonly Buffer[]): readonly Buffer[] {
	const complete: {readonly size: number; readonly root: Buffer}[] = [];
	return leaves.map((leaf) => {
		let newest = {size: 1, root: leaf};
		for (let last = complete.at(-1); last?.size === newest.size; last = complete.at(-1)) {
			newest = {size: newest.size * 2, root: hashNode(last.root, newest.root)};
			complete.pop();
		}
		complete.push(newest);
		return complete.map(({root}) => root).reduceRight((right, left) => hashNode(left, right));
	});
}
