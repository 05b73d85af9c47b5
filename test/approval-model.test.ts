/**
 * A model check of approvals: every order of what people, clocks, policies, targets, crashes and two servers do, for few of them, and
 * many seeded orders of all of them. What was not approved does not happen, and nothing happens twice.
 */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {type Found, play, type Scenario, TASKS, type Task} from './approval-model.ts';

type Total = {schedules: number; effects: number; unapproved: string[]; doubled: number};

const SEEDED = 10_000;
/** What has to happen often enough for the rest to matter. */
const AGAIN = ['one', 'bob', 'two'] as const;

const few = (tasks: readonly Task[], more: Partial<Scenario> = {}): Scenario => ({tasks, required: 1, steps: 'few', ...more});
const all = (tasks: readonly Task[], more: Partial<Scenario> = {}): Scenario => ({
	...few(tasks, {granted: true, ...more}),
	steps: 'all',
});

const SMALL: readonly Scenario[] = [
	all(['one', 'two']),
	all(['one', 'two', 'crash']),
	all(['one', 'unbob']),
	all(['one', 'unbob'], {required: 2}),
	few(['one', 'bob', 'unbob']),
	few(['one', 'bob', 'cy'], {required: 2}),
	few(['one', 'two', 'policy', 'target'], {granted: true}),
	...(['reject', 'late', 'stale', 'policy', 'target', 'evil', 'crash'] as const).map((task) => few(['one', 'bob', task])),
	...(['late', 'stale', 'policy', 'target', 'evil', 'crash'] as const).map((task) => all(['one', task])),
];

for (const scenario of SMALL) {
	const {tasks, required, granted} = scenario;
	const how = `${granted ? ', once granted' : ''}${required > 1 ? ' by two' : ''}`;
	test(`in every order of ${tasks.join(', ')}${how}, nothing happens unapproved or twice`, async (t) => {
		const total = await everyOrder(scenario);
		t.diagnostic(`${total.schedules} orders, ${total.effects} effects`);
		assert.deepEqual([total.unapproved, total.doubled], [[], 0]);
		assert.ok(total.schedules >= 9, `only ${total.schedules} orders`);
	});
}

test(`in ${SEEDED} seeded orders of all of it, nothing happens unapproved or twice`, async (t) => {
	const total = await seeded(SEEDED, {});
	assert.deepEqual([total.unapproved, total.doubled], [[], 0]);
	assert.ok(total.effects > SEEDED / 10, `only ${total.effects} effects: the orders say little`);
	t.diagnostic(`${total.schedules} orders, ${total.effects} effects`);
});

test('the kernel by itself, over a store that judges no approval, lets nothing happen unapproved or twice', async () => {
	const total = await seeded(1_000, {lenient: true});
	assert.deepEqual([total.unapproved, total.doubled], [[], 0]);
});

test('without the binding, what was approved for one state of the world happens in another, and that is found', async () => {
	const total = await seeded(1_000, {mutation: 'binding'});
	assert.ok(total.unapproved.includes('it was approved under another policy'));
	assert.ok(total.unapproved.includes('it was approved for another state of its target'));
});

test('without single use, an approval is used again, and that is found', async () => {
	const total = await seeded(1_000, {mutation: 'single-use', lenient: true});
	assert.ok(total.doubled > 0);
	assert.ok(total.unapproved.includes('its approval was over'));
});

test('what the kernel forgets about use, the store remembers', async () => {
	const total = await seeded(1_000, {mutation: 'single-use'});
	assert.deepEqual([total.unapproved, total.doubled], [[], 0]);
});

test('a check that carried out fewer orders than it was asked for has failed', () => {
	assert.throws(() => complete({...nothing(), schedules: 9}, 10), /9 of 10 orders/);
});

/** Every order there is: choices are counted up like digits, the last first. */
async function everyOrder(scenario: Scenario): Promise<Total> {
	const total = nothing();
	let digits: number[] | null = [];
	while (digits) {
		const prefix: readonly number[] = digits;
		const place = {at: 0};
		const found = await play(scenario, () => prefix[place.at++] ?? 0);
		add(total, found);
		digits = following(prefix, found.branches);
	}
	return total;
}

function following(prefix: readonly number[], branches: readonly number[]): number[] | null {
	for (let at = branches.length - 1; at >= 0; at -= 1) {
		const digit = (prefix[at] ?? 0) + 1;
		if (digit < (branches[at] ?? 0)) return [...branches.slice(0, at).map((_, index) => prefix[index] ?? 0), digit];
	}
	return null;
}

async function seeded(schedules: number, more: Partial<Scenario>): Promise<Total> {
	const total = nothing();
	for (let seed = 1; seed <= schedules; seed += 1) {
		const random = createRandom(seed);
		const tasks: readonly Task[] = ['one', ...TASKS.filter(() => random() < 0.35), ...AGAIN.filter(() => random() < 0.5)];
		const scenario: Scenario = {required: seed % 3 === 0 ? 2 : 1, granted: seed % 2 === 0, steps: 'all', tasks, ...more};
		add(total, await play(scenario, (n) => Math.floor(random() * n)));
	}
	return complete(total, schedules);
}

function complete(total: Total, asked: number): Total {
	if (total.schedules < asked) throw new Error(`${total.schedules} of ${asked} orders were carried out`);
	return total;
}

function nothing(): Total {
	return {schedules: 0, effects: 0, unapproved: [], doubled: 0};
}

function add(total: Total, {effects, unapproved, doubled}: Found): void {
	total.schedules += 1;
	total.effects += effects;
	total.unapproved.push(...unapproved);
	total.doubled += doubled;
}

/** Small, and the same everywhere: a seed names its order for good. */
function createRandom(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}
