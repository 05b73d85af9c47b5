/** A stop that is durable is a stop: whatever was decided before it and is written after it is refused, on every store. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {INITIAL, type Modes} from '#agents/kill-switch.ts';
import type {EventBody} from '#contract/event.ts';
import {govern} from '#kernel/govern.ts';
import type {Kernel, Policy, Store} from '#kernel/ports.ts';
import {ADA, createTool, policyOf, testKernel} from '#kernel/test-kernel.ts';
import {withMode} from '#policy/mode.ts';
import {BUILT_IN, type LoadedPolicy} from '#policy/policy.ts';
import {batch, intent, started} from '../src/store/sample-run.ts';
import {conflict, eachSharedStore, eachStore} from '../src/store/test-stores.ts';

const WORKERS = 64;
const ROUNDS = 8;

const ended: EventBody = {
	type: 'run.finished',
	actor: ADA,
	data: {status: 'succeeded', resultActionId: null, error: null, durationMs: 1},
};

function changed(number: number): EventBody {
	return {type: 'mode.changed', actor: ADA, data: {number, mode: 'observe', reason: 'a drill', asked: null}};
}

/** An intent that was decided when `modeNumber` was the last change of a mode; without one nobody asks. */
function decidedUnder(modeNumber: number | undefined): EventBody {
	const body = intent();
	assert.equal(body.type, 'action.intent');
	return {...body, data: {...body.data, ...(modeNumber === undefined ? {} : {modeNumber})}} as EventBody;
}

const stop = (store: Store, number: number) =>
	store.append(batch({runId: `mode-${number}`, expectedSeq: 0}, started(), changed(number), ended));

/** Sixty-four runs write an intent each, half of them at the same time as the stop, the others after it is durable. */
async function race(stores: readonly [Store, Store], round: number, modeNumber: number | undefined) {
	const [one, other] = stores;
	const runIds = Array.from({length: WORKERS}, (_, n) => `race-${round}-${n}`);
	await Promise.all(runIds.map((runId) => one.append(batch({runId, expectedSeq: 0}, started()))));
	const write = (runId: string, n: number) =>
		stores[n % 2]?.append(batch({runId, expectedSeq: 1}, decidedUnder(modeNumber))).then(() => true, isConflict);
	const atOnce = runIds.slice(0, WORKERS / 2).map(write);
	await stop(other, round + 1);
	const durable = async () => (await Promise.all(runIds.map((runId) => one.read(runId)))).filter(({length}) => length > 1).length;
	const whenStopped = await durable();
	const after = await Promise.all(runIds.slice(WORKERS / 2).map(write));
	const results = await Promise.all(atOnce);
	return {whenStopped, atEnd: await durable(), results, after};
}

function isConflict(error: unknown): false {
	assert.equal((error as {code?: string}).code, 'conflict');
	return false;
}

eachSharedStore(process.env, ({place: make}) => {
	test('no intent becomes durable once the stop is, in sixty-four writers on two servers', async () => {
		const place = await make();
		const stores = [await place.open(), await place.open()] as const;
		for (let round = 0; round < ROUNDS; round += 1) {
			const {whenStopped, atEnd, results, after} = await race(stores, round, round);
			assert.equal(atEnd, whenStopped, 'what was durable when the stop was acknowledged is all there ever is');
			assert.equal(results.filter(Boolean).length, whenStopped);
			assert.deepEqual(new Set(after), new Set([false]));
		}
	});

	test('without the number of the mode they would', async () => {
		const place = await make();
		const {whenStopped, atEnd} = await race([await place.open(), await place.open()], 0, undefined);
		assert.ok(atEnd > whenStopped);
	});
});

eachStore(process.env, ({store: open}) => {
	test('an intent that knows of the last change of a mode is written, and one that does not leaves nothing', async () => {
		const store = await open();
		await store.append(batch({runId: 'r', expectedSeq: 0}, started()));
		await stop(store, 1);
		await assert.rejects(store.append(batch({runId: 'r', expectedSeq: 1}, decidedUnder(0))), {
			...conflict,
			details: {runId: 'r', modeNumber: 1},
		});
		assert.equal((await store.read('r')).length, 1);
		await store.append(batch({runId: 'r', expectedSeq: 1}, decidedUnder(1)));
		assert.equal((await store.read('r')).length, 2);
	});

	for (const isOn of [false, true]) {
		test(`a server that has not heard of the stop ${isOn ? 'hears of it when it would act' : 'acts, where nobody asks the store'}`, async () => {
			const ran: string[] = [];
			const tool = createTool({effect: 'write', run: async ({text}) => ran.push(text)});
			const {kernel, journal, store} = await testKernel({tools: [tool], store: await open(), policy: () => FREE});
			const deaf: {state: Modes} = {state: INITIAL};
			await stop(store, 1);
			const asking: Kernel = {
				...kernel,
				policy: () => (isOn ? withMode(FREE, deaf.state) : FREE),
				catchUp: async () => {
					deaf.state = {...INITIAL, mode: 'observe', number: 1};
				},
			};
			const outcome = await govern({id: 'act_1', tool: tool.name, input: {text: 'now'}}, journal, asking, signal);
			assert.deepEqual([outcome.kind, ran], isOn ? ['denied', []] : ['succeeded', ['now']]);
			const types = (await store.read('run_1')).map(({type}) => type);
			const decided = ['run.started', 'action.proposed', 'action.decided'];
			assert.deepEqual(types, isOn ? decided : [...decided, 'action.intent', 'action.outcome', 'action.verified']);
		});
	}

	test('what else was being written when an intent was refused is written all the same, in a chain that holds', async () => {
		const slow = createTool({effect: 'write', name: 'analyst.slow', run: async ({text}) => ({said: text})});
		const {kernel, journal, store, key} = await testKernel({tools: [slow], store: await open(), policy: () => FREE});
		const deaf: {state: Modes} = {state: INITIAL};
		const asking: Kernel = {
			...kernel,
			policy: () => withMode(FREE, deaf.state),
			catchUp: async () => {
				deaf.state = {...INITIAL, number: 1}; // somebody else's mode: this run may go on
			},
		};
		await stop(store, 1);
		const note = (text: string): EventBody => ({
			type: 'message.added',
			actor: ADA,
			data: {role: 'user', content: text, threadId: 't', datasetId: 'd'},
		});
		const [outcome] = await Promise.all([
			govern({id: 'act_1', tool: slow.name, input: {text: 'on'}}, journal, asking, signal),
			journal.append(note('one')),
			journal.append(note('two')),
		]);
		assert.equal(outcome.kind, 'succeeded');
		const events = await store.read('run_1');
		assert.deepEqual(
			events.map(({seq}) => seq),
			events.map((_, index) => index + 1),
		);
		assert.deepEqual(events, journal.events);
		assert.equal(events.filter(({type}) => type === 'action.intent').length, 1);
		assert.equal(events.filter(({type}) => type === 'message.added').length, 2);
		assert.ok(key);
	});
});

const {signal} = new AbortController();
/** Everything goes but what a mode denies. */
const FREE: Policy & Pick<LoadedPolicy, 'document'> = {
	...policyOf({}),
	document: BUILT_IN,
	gates: [{name: 'policy', decide: () => ({gate: 'policy', effect: 'allow', rules: ['all'], reason: 'all goes'})}],
};
