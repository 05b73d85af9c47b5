import assert from 'node:assert/strict';
import {test} from 'node:test';
import fc from 'fast-check';
import type {EventBody} from '#contract/event.ts';
import type {Store} from '#kernel/ports.ts';
import {ANN, asked, batch, expired, FENCE, finished, granted, intent, message, rejected, resumed, started} from './sample-run.ts';
import {ALL, implementations, type Place} from './test-stores.ts';

const RUNS = ['r0', 'r1'];

const approvalId = fc.constantFrom('apr_1', 'apr_2');
const text = fc.oneof(fc.string({maxLength: 8, unit: 'binary'}), fc.constantFrom('%', '_', '!', '\0', '\uD800', 'ß', 'İ', ''));
const body: fc.Arbitrary<EventBody> = fc.oneof(
	fc
		.record({role: fc.constantFrom('user', 'assistant'), content: text, thread: fc.constantFrom('t1', 't2')})
		.map(({role, content, thread}) => message(role as 'user' | 'assistant', content, thread, content)),
	approvalId.map(asked),
	approvalId.map((id) => granted(id)),
	approvalId.map(rejected),
	approvalId.map(expired),
	fc.option(approvalId).map((id) => intent(id)),
	fc.constant(resumed()),
	fc.constantFrom('succeeded' as const, 'failed' as const).map((status) => finished(status)),
);

/** What chance alone would rarely put in the right order. */
const life: fc.Arbitrary<EventBody[]> = approvalId.chain((id) =>
	fc.constantFrom<EventBody[][]>([asked(id)], [asked(id), granted(id)], [granted(id), intent(id)], [intent(id)]),
);

type Step =
	| {readonly kind: 'append'; readonly runId: string; readonly skew: number; readonly token: number; readonly bodies: EventBody[]}
	| {readonly kind: 'start'; readonly runId: string; readonly question: string | null; readonly tenant: string}
	| {readonly kind: 'claim'; readonly runId: string | undefined; readonly hours: number}
	| {readonly kind: 'renew'; readonly runId: string; readonly token: number}
	| {readonly kind: 'list'; readonly text: string};

const runId = fc.constantFrom(...RUNS);
const token = fc.constantFrom(1, 1, 1, 2);
const step: fc.Arbitrary<Step> = fc.oneof(
	{
		weight: 6,
		arbitrary: fc.record({
			kind: fc.constant('append' as const),
			runId,
			skew: fc.constantFrom(0, 0, 0, 0, 1, -1),
			token,
			bodies: fc.oneof(fc.array(body, {minLength: 1, maxLength: 4}), life),
		}),
	},
	{
		weight: 3,
		arbitrary: fc.record({
			kind: fc.constant('start' as const),
			runId,
			question: fc.option(text),
			tenant: fc.constantFrom('local', 'local', 'other'),
		}),
	},
	fc.record({kind: fc.constant('claim' as const), runId: fc.option(runId, {nil: undefined}), hours: fc.constantFrom(0, 4)}),
	fc.record({kind: fc.constant('renew' as const), runId, token}),
	fc.record({kind: fc.constant('list' as const), text}),
);

/** What one step answers: a value, or the code it was refused with. */
async function play(store: Store, step: Step, second: number): Promise<unknown> {
	try {
		return await perform(store, step, second);
	} catch (error) {
		return error instanceof Error && 'code' in error ? `refused: ${error.code}` : 'bug';
	}
}

async function perform(store: Store, step: Step, second: number): Promise<unknown> {
	switch (step.kind) {
		case 'start': {
			const principal = {...ANN, tenant: step.tenant};
			return store.append(batch({runId: step.runId, expectedSeq: 0, second}, started({question: step.question, principal})));
		}
		case 'append': {
			const expectedSeq = Math.max(1, ((await store.run(step.runId))?.seq ?? 0) + step.skew);
			const fence = {...FENCE, token: step.token};
			return store.append(batch({runId: step.runId, expectedSeq, second, fence}, ...step.bodies));
		}
		case 'claim':
			return store.claim('one', new Date(Date.UTC(2026, 2, 1, 12 + step.hours)), 1000, step.runId);
		case 'renew':
			return store.renew(step.runId, {...FENCE, token: step.token});
		case 'list':
			return store.runs({...ALL, text: step.text});
	}
}

/** Everything a reader can see, without the numbers a database gives messages. */
async function view(store: Store) {
	const messages = await Promise.all(
		['t1', 't2'].flatMap((thread) => ['local', 'other'].map((tenant) => store.messages(tenant, thread, 200))),
	);
	return {
		messages: messages.map((rows) => rows.map(({id, ...row}) => row)),
		threads: [await store.threads('local', 200), await store.threads('other', 200)],
		runs: [await store.runs(ALL), await store.runs({...ALL, tenant: 'other'})],
		approvals: [await store.approvals('local'), await store.approvals('other', 'granted')],
		events: await Promise.all(RUNS.map((id) => store.read(id))),
		raw: await Promise.all(RUNS.map((id) => store.rawEvents(id))),
	};
}

async function playAll(place: Place, steps: readonly Step[]): Promise<unknown> {
	const store = await place.open();
	try {
		const answers: unknown[] = [];
		for (const [second, step] of steps.entries()) answers.push((await play(store, step, second)) ?? null);
		return {answers, view: await view(store)};
	} finally {
		await store.close();
		await place.remove();
	}
}

test('any sequence of appends, claims and renewals reads the same from every store', async () => {
	const {here} = implementations(process.env);
	assert.ok(here.length >= 2);
	await fc.assert(
		fc.asyncProperty(fc.array(step, {minLength: 5, maxLength: 25}), async (steps) => {
			const [reference, ...others] = await Promise.all(here.map(async ({create}) => playAll(await create(), steps)));
			for (const other of others) assert.deepEqual(other, reference);
		}),
		{numRuns: 25},
	);
});

test('the steps of the equivalence test reach approvals, conflicts and finished runs', async () => {
	const [memory] = implementations(process.env).here;
	assert.ok(memory);
	const reached = new Set<string>();
	for (const steps of fc.sample(fc.array(step, {minLength: 5, maxLength: 25}), {numRuns: 300, seed: 1})) {
		const {answers, view: seen} = (await playAll(await memory.create(), steps)) as {
			answers: unknown[];
			view: Awaited<ReturnType<typeof view>>;
		};
		for (const answer of answers) if (typeof answer === 'string') reached.add(answer);
		for (const {rows} of seen.runs) for (const {status} of rows) reached.add(status);
		for (const {state} of seen.approvals.flat()) reached.add(state);
	}
	const expected = ['awaiting_approval', 'consumed', 'expired', 'failed', 'granted', 'pending'];
	assert.deepEqual([...reached].sort(), [...expected, 'refused: conflict', 'rejected', 'running', 'succeeded']);
});
