/** How long and from which seed the fuzzers run: `FUZZ=20 FUZZ_SEED=7 node --test 'test/fuzz*.test.ts'` is twenty times as long. */
import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';

export const FACTOR = Number(process.env.FUZZ ?? 1);
export const SEED = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fff_ffff);

/** What fast-check prints with a counterexample is all that is needed to see it again. */
export function runs(count: number): {readonly numRuns: number; readonly seed: number} {
	return {numRuns: Math.round(count * FACTOR), seed: SEED};
}

export type Kept = {readonly name: string; readonly bytes: Buffer};

/** Inputs that were interesting once: they are tried before any new one. `.hex` files hold bytes that no editor would show. */
export function corpus(directory: string): readonly Kept[] {
	const place = path.join(import.meta.dirname, 'corpus', directory);
	return readdirSync(place)
		.sort()
		.map((name) => {
			const bytes = readFileSync(path.join(place, name));
			return {name, bytes: name.endsWith('.hex') ? Buffer.from(bytes.toString().replace(/\s/g, ''), 'hex') : bytes};
		});
}
