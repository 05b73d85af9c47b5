/** Content that is erased: what still verifies, what a stranger reads of it, and what passes for neither. */
import assert from 'node:assert/strict';
import path from 'node:path';
import {test} from 'node:test';
import {type Event, type EventData, parseEvent} from '#contract/event.ts';
import {exportBundle} from './bundle.ts';
import {canonical, digest} from './canonical.ts';
import {exportCapsule} from './capsule.ts';
import {eraseContent, hashOf, toStored} from './content.ts';
import {openJournal} from './journal.ts';
import {signHead} from './keys.ts';
import {createRedactor} from './redact.ts';
import {ADA, createMemoryStore, createTestClock, finishedRun, STARTED, sampleKey} from './sample-run.ts';
import {verifyCapsule, verifyRun} from './verify.ts';
import {verifyBundle} from './verify-bundle.ts';

// Not imported by name: it has no types, being plain Node.
const {verifyEvidence} = (await import(path.resolve(import.meta.dirname, '../../scripts/verify-evidence.mjs'))) as {
	verifyEvidence(files: ReadonlyMap<string, Uint8Array>): {verdict: string};
};
const key = sampleKey();
const {store, head} = await finishedRun(key, 'run_1');
const whole = store.rows.map((row) => parseEvent(structuredClone(row)));
const erasable = whole.flatMap((event) => eraseContent(event) ?? []);
const erased = whole.map((event) => toStored(eraseContent(event) ?? event));

async function recordOf(data: Partial<EventData<'content.erased'>> = {}) {
	const kept = createMemoryStore();
	const journal = await openJournal({
		...{store: kept, runId: 'run_9', principal: {...ADA, kind: 'service'}, fence: {holder: 'h', leaseMs: 1_000}},
		...{clock: createTestClock(), redact: createRedactor([]), sign: (end: Parameters<typeof signHead>[1]) => signHead(key, end)},
		started: {...STARTED, job: 'system', mode: 'retention', question: null},
	});
	const events = erasable.map(({seq, hash}) => ({seq, hash}));
	const said = {runId: 'run_1', rule: 'thirty-days', reason: 'older than 30 days', events, bytes: {before: 9, after: 1}, ...data};
	await journal.append({type: 'content.erased', actor: journal.principal, data: said});
	const end = {status: 'succeeded', resultActionId: null, error: null, durationMs: 1} as const;
	await journal.append({type: 'run.finished', actor: journal.principal, data: end});
	return {events: await kept.rawEvents('run_9'), head: await kept.head('run_9')};
}
const record = await recordOf();
const check = (events: unknown, erasure?: unknown) => {
	const {verdict, position, checks} = verifyRun(events, head, key.publicKey, {erasure});
	return {verdict, position, erasure: checks.find(({name}) => name === 'erasure')?.detail};
};

test('a run whose content was erased by a rule verifies and says by which rule, when and by whom', () => {
	assert.equal(check(whole.map(toStored)).verdict, 'valid');
	const found = check(erased, record);
	assert.deepEqual([found.verdict, found.position], ['valid', null]);
	assert.match(
		found.erasure ?? '',
		/^the content of \d+ events was erased by ada at 2026-03-01T\S+, by the rule thirty-days: older than/,
	);
});

test('nothing of the content is left, and what decided, who approved and how it ended is', () => {
	const [before, text] = [JSON.stringify(whole), JSON.stringify(erased)];
	for (const content of ['How many tickets are open?', 'the ward of doctor Noor', '"salt"'])
		assert.deepEqual([content, before.includes(content), text.includes(content)], [content, true, false]);
	const kept = (event: Event) =>
		event.type.startsWith('approval.') || event.type === 'action.decided' || event.type === 'action.intent';
	const facts = (events: readonly Event[]) =>
		events.filter(kept).map(({type, at, data}) => ({
			type,
			at,
			binding: (data as {binding?: string}).binding,
			decision: (data as {decision?: unknown}).decision,
		}));
	assert.deepEqual(facts(erased.map(parseEvent)), facts(whole));
});

test('content that is gone without a record is tampering, and so is a record of what is here', () => {
	const first = erasable[0]?.seq ?? 0;
	assert.deepEqual(check(erased), {
		...{verdict: 'tampered', position: first},
		erasure: `event ${first}: its content is gone, and nothing says who erased it`,
	});
	assert.deepEqual(
		[check(whole.map(toStored), record).verdict, check(erased.with(first - 1, whole[first - 1]), record).verdict],
		['tampered', 'tampered'],
	);
});

test('a record of another run, of less, by another key, or that was edited does not count', async () => {
	const foreign = await recordOf({runId: 'run_2'});
	const less = await recordOf({events: [{seq: erasable[0]?.seq ?? 1, hash: erasable[0]?.hash ?? ''}]});
	const edited = {
		...record,
		events: record.events.map((event) => JSON.parse(JSON.stringify(event).replace('thirty-days', 'ninety-days'))),
	};
	for (const wrong of [foreign, less, edited, {events: record.events, head: null}, {events: [], head: null}, {}])
		assert.equal(check(erased, wrong).verdict, 'tampered');
	const others = verifyRun(erased, head, sampleKey().publicKey, {erasure: record});
	assert.notEqual(others.verdict, 'valid');
});

test('an erasure before the days of its rule were over is tampering, whoever signed it', async () => {
	const early = await recordOf({days: 30});
	const found = check(erased, early);
	assert.deepEqual([found.verdict, found.position], ['tampered', erasable[0]?.seq]);
	assert.match(found.erasure ?? '', /^it was erased at 2026-03-01T\S+, before the 30 days of the rule thirty-days were over$/);
	const gone = {rawEvents: async () => structuredClone(erased), head: async () => head};
	const bundle = new Map(await exportBundle('run_1', {store: gone, key, erasure: async () => early}));
	assert.deepEqual([verifyBundle(bundle).verdict, verifyEvidence(bundle).verdict], ['tampered', 'tampered']);
});

test('text that is put where content was erased is tampering', () => {
	const at = erasable[0]?.seq ?? 1;
	const event = erased[at - 1] as {data: object};
	const forged = erased.with(at - 1, {...event, data: {...event.data, question: 'What I never asked'}});
	assert.deepEqual([check(forged, record).verdict, check(forged, record).position], ['tampered', at]);
});

test('text that is put beside what is hashed, under the name of its digest, is tampering', async () => {
	const beside = (events: readonly unknown[], at: number) =>
		events.with(at - 1, {...(events[at - 1] as object), content: 'What I never asked'});
	const at = erasable[0]?.seq ?? 1;
	const found = [check(beside(whole.map(toStored), at)), check(beside(erased, at), record)];
	assert.deepEqual(
		found.map(({verdict, position}) => [verdict, position]),
		[
			['tampered', at],
			['tampered', at],
		],
	);
	const gone = {rawEvents: async () => structuredClone(erased), head: async () => head};
	const forged = {...record, events: beside(record.events, 1)};
	const bundle = new Map(await exportBundle('run_1', {store: gone, key, erasure: async () => forged}));
	assert.deepEqual([verifyBundle(bundle).verdict, verifyEvidence(bundle).verdict], ['tampered', 'tampered']);
});

test('erased content is not found by trying what it could have been: with its salt at hand it would be', () => {
	const guesses = ['How many tickets are closed?', 'How many tickets are open?'];
	const started = whole[0] as Event;
	const {scope} = started.data as EventData<'run.started'>;
	const guess = (salt?: string) =>
		guesses.filter(
			(question) => digest({content: {question, scope}, ...(salt === undefined ? {} : {salt})}) === eraseContent(started)?.erased,
		);
	assert.deepEqual(guess(started.salt), ['How many tickets are open?']);
	assert.deepEqual(guess(), []);
	const left = JSON.stringify(erased);
	for (const event of whole)
		for (const value of ['input', 'output'].map((name) => (event.data as Record<string, unknown>)[name]))
			if (value !== undefined && value !== null)
				assert.ok(!left.includes(digest(value)), `${event.type}: its plain digest is left`);
});

test('an event of version 1 verifies as it always did, and has nothing that can be erased', () => {
	const {salt: _, ...rest} = whole[0] as Event;
	const old = {...rest, v: 1 as const};
	const event = {...old, hash: hashOf(old)} as Event;
	const {hash, ...unhashed} = event;
	assert.deepEqual([hash, eraseContent(event)], [digest(unhashed), null]);
	assert.notEqual(verifyRun([event], null, key.publicKey).verdict, 'tampered');
});

test('a bundle and a capsule of an erased run are exported, verify, and say what is missing', async () => {
	const gone = {rawEvents: async () => structuredClone(erased), head: async () => head};
	const ports = {store: gone, key, clock: createTestClock(), software: 'writ 0.1.0', erasure: async () => record};
	const capsule = (await exportCapsule('run_1', ports)).bytes;
	assert.equal(verifyCapsule(capsule).verdict, 'valid');
	const bundle = await exportBundle('run_1', ports);
	const found = verifyBundle(bundle);
	assert.deepEqual([found.verdict, found.checks.filter(({passed}) => !passed)], ['valid', []]);
	assert.match(found.checks.find(({name}) => name === 'erasure')?.detail ?? '', /by the rule thirty-days/);
	const summary = JSON.parse(String(bundle.get('evidence.json')));
	assert.deepEqual(summary.erased, {events: erasable.map(({seq}) => seq), record: 'log/erasure/events.jsonl'});
	assert.ok(![...bundle.values()].some((bytes) => bytes.includes('How many tickets are open?')));

	const unsaid = await exportBundle('run_1', {...ports, erasure: async () => null});
	assert.equal(verifyBundle(unsaid).verdict, 'tampered');
	assert.equal(verifyEvidence(new Map(bundle)).verdict, 'valid');
	assert.equal(verifyEvidence(new Map(unsaid)).verdict, 'tampered');
	assert.ok(canonical(erased).length < canonical(whole).length);
});
