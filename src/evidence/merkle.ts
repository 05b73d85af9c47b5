/** Merkle trees as RFC 6962 hashes them, and their tiles as C2SP's tlog-tiles lays them out. */
import {hash} from 'node:crypto';

/** Leaves of one tile. */
export const TILE = 256;

export function hashLeaf(entry: string): Buffer {
	return hash('sha256', Buffer.concat([LEAF, Buffer.from(entry, 'utf8')]), 'buffer');
}

function hashNode(left: Buffer, right: Buffer): Buffer {
	return hash('sha256', Buffer.concat([NODE, left, right]), 'buffer');
}

const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);

/** The root over leaf hashes. Of no leaves: the hash of nothing. */
export function rootOf(leaves: readonly Buffer[]): Buffer {
	const peaks = createRange();
	for (const leaf of leaves) peaks.append(leaf);
	return peaks.root();
}

/** A tree that only grows: it keeps the roots of its complete subtrees, at most one of each height. */
export type Range = {readonly size: number; append(leaf: Buffer): void; root(): Buffer};

export function createRange(): Range {
	const state = {size: 0, peaks: [] as Buffer[]};
	return {
		get size() {
			return state.size;
		},
		append(leaf) {
			let top = leaf;
			// As many subtrees are complete as the old size has trailing ones.
			for (let rest = state.size; rest % 2 === 1; rest = Math.floor(rest / 2)) top = hashNode(state.peaks.pop() as Buffer, top);
			state.peaks.push(top);
			state.size += 1;
		},
		root() {
			if (state.peaks.length === 0) return hash('sha256', Buffer.alloc(0), 'buffer');
			return state.peaks.reduceRight((right, left) => hashNode(left, right));
		},
	};
}

/** The hashes beside the way from a leaf to the root, from the bottom up. */
export function inclusionProof(leaves: readonly Buffer[], index: number): readonly Buffer[] {
	if (leaves.length <= 1) return [];
	const split = largestPowerBelow(leaves.length);
	const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
	return index < split
		? [...inclusionProof(left, index), rootOf(right)]
		: [...inclusionProof(right, index - split), rootOf(left)];
}

function largestPowerBelow(size: number): number {
	let power = 1;
	while (power * 2 < size) power *= 2;
	return power;
}

/** The files of a tree's hashes and entries, by their path below the log: full tiles, and the partial one at each end. */
export function toTiles(entries: readonly string[]): ReadonlyMap<string, Buffer> {
	const files = new Map<string, Buffer>();
	let hashes: readonly Buffer[] = entries.map(hashLeaf);
	for (let level = 0; hashes.length > 0; level += 1) {
		for (const [index, tile] of chunk(hashes).entries())
			files.set(tilePath(String(level), index, tile.length), Buffer.concat(tile));
		hashes = chunk(hashes)
			.filter((tile) => tile.length === TILE)
			.map(rootOf);
	}
	for (const [index, bundle] of chunk(entries).entries())
		files.set(tilePath('entries', index, bundle.length), Buffer.concat(bundle.map(toEntry)));
	return files;
}

/** `tile/<level>/<index>`, the index in groups of three digits, all but the last marked; a partial tile says its width. */
export function tilePath(level: string, index: number, width: number): string {
	const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, '0');
	const groups = digits.match(/.{3}/g) ?? [];
	const place = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
	return `tile/${level}/${place}${width < TILE ? `.p/${width}` : ''}`;
}

/** An entry with its length before it, as two bytes. */
export function toEntry(entry: string): Buffer {
	const bytes = Buffer.from(entry, 'utf8');
	const length = Buffer.alloc(2);
	length.writeUInt16BE(bytes.length); // throws on what a tile cannot hold
	return Buffer.concat([length, bytes]);
}

function chunk<T>(values: readonly T[]): T[][] {
	return Array.from({length: Math.ceil(values.length / TILE)}, (_, index) => values.slice(index * TILE, (index + 1) * TILE));
}
