/** Many histories, on each store there is, and on stores without one of their defences. */
import type {Store} from '#kernel/ports.ts';
import {implementations, type Place} from '#store/test-stores.ts';
import {MUTANTS, type Mutant, type Tally} from './network.ts';
import {noTally, simulate} from './simulation.ts';

export const STORES = ['memory', 'sqlite', 'postgres'] as const;
export type StoreName = (typeof STORES)[number];

export type Simulated = {
	readonly histories: number;
	/** each with its seed */
	readonly faults: readonly string[];
	/** what never happened */
	readonly unmet: readonly (keyof Tally)[];
	readonly tally: Tally;
	readonly seconds: number;
};

type Which = {readonly first: number; readonly count: number; readonly mutant: Mutant | null};

/** histories on one database, one after the other */
const EACH = 50;

/** Lives `count` histories from the seed `first` on. Throws when there is no such store here. */
export async function simulateMany(
	{name, url}: {readonly name: StoreName; readonly url?: string | undefined},
	{first, count, mutant}: Which,
): Promise<Simulated> {
	const implementation = implementations({DATABASE_URL: url}).here.find((each) => each.name === name);
	if (!implementation) throw new Error(`there is no ${name} here`);
	const faults: string[] = [];
	const tally = noTally();
	const began = performance.now();
	const state = {place: null as Place | null, store: null as Store | null, histories: 0};
	const clear = async () => {
		await state.store?.close();
		await state.place?.remove();
		Object.assign(state, {place: null, store: null});
	};
	for (let seed = first; seed < first + count; seed += 1) {
		state.place ??= await implementation.create();
		state.store ??= await state.place.open();
		const history = await simulate(seed, state.store, mutant);
		state.histories += 1;
		for (const what of Object.keys(tally) as (keyof Tally)[]) tally[what] += history.tally[what];
		if (history.faults.length > 0) faults.push(`${seed}: ${history.faults.join('; ')}`);
		// What went wrong there is not to go wrong in the next one; and lists are not to get long.
		if (history.faults.length > 0 || state.histories % EACH === 0) await clear();
	}
	await clear();
	const unmet = (Object.keys(tally) as (keyof Tally)[]).filter((what) => tally[what] === 0);
	return {histories: state.histories, faults, unmet, tally, seconds: (performance.now() - began) / 1_000};
}

/** How many histories go wrong on a store without one of its defences. */
export async function survivors(
	first: number,
	seeds = 100,
): Promise<readonly {readonly mutant: Mutant; readonly caught: number; readonly seeds: number}[]> {
	const found: {mutant: Mutant; caught: number; seeds: number}[] = [];
	for (const mutant of MUTANTS) {
		const {faults} = await simulateMany({name: 'memory'}, {first, count: seeds, mutant});
		found.push({mutant, caught: faults.length, seeds});
	}
	return found;
}
