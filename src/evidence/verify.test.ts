import assert from 'node:assert/strict';
import {test} from 'node:test';
import fc from 'fast-check';
import type {Verification} from '#contract/api.ts';
import type {Event, EventBody, SignedHead} from '#contract/event.ts';
import {canonical} from './canonical.ts';
import {exportCapsule} from './capsule.ts';
import {hashOf} from './content.ts';
import {signHead} from './keys.ts';
import {createTestClock, finishedRun, sampleBodies, sampleKey, startRun} from './sample-run.ts';
import {verifyCapsule, verifyRun} from './verify.ts';

type Json = null | boolean | number | string | Json[] | {[key: string]: Json};
type Raw = Event & {data: Record<string, unknown>};

const key = sampleKey();
const [one, two] = [await finishedRun(key, 'run_1'), await finishedRun(key, 'run_2')];
const count = one.store.rows.length;
const events = (): Raw[] => structuredClone(one.store.rows) as Raw[];
const check = (rows: unknown, head: unknown = one.head) => verifyRun(rows, head, key.publicKey);
const bytes = Buffer.from((await exportCapsule('run_1', {...one, key, clock: createTestClock(), software: 'writ 0.1.0'})).bytes);
const capsule = () => JSON.parse(bytes.toString('utf8'));
const failed = ({checks}: Verification) => checks.filter(({passed}) => !passed).map(({name}) => name);

/** What an attacker with the database, but without the key, can do: change events and make the chain fit again. */
function rehash(rows: Raw[], head: SignedHead = one.head): {rows: Raw[]; head: SignedHead} {
	let prev = '0'.repeat(64);
	const forged = rows.map((row, index) => {
		const {hash: _, ...event} = {...row, seq: index + 1, prev};
		prev = hashOf(event as unknown as Event);
		return {...event, hash: prev} as Raw;
	});
	return {rows: forged, head: {...head, seq: forged.length, hash: prev}};
}

/** The writer itself broke a rule: chain and signature are right, the conduct is not. */
async function misconduct(change: (bodies: EventBody[]) => void): Promise<Verification> {
	const {store, journal} = await startRun(key);
	const bodies = sampleBodies();
	change(bodies);
	for (const body of bodies) await journal.append(body);
	return verifyRun(store.rows, await store.head('run_1'), key.publicKey);
}

function data(bodies: EventBody[], type: EventBody['type'], nth = 0): Record<string, unknown> {
	return bodies.filter((body) => body.type === type)[nth]?.data as Record<string, unknown>;
}

test('a finished run is valid, and every check says what it looked at', () => {
	assert.deepEqual(check(events()), {
		verdict: 'valid',
		runId: 'run_1',
		events: count,
		keyId: key.keyId,
		checks: [
			{name: 'chain', passed: true, detail: '16 events, each linked to the one before and hashed again'},
			{name: 'schema', passed: true, detail: '16 events have the shape of their type'},
			{name: 'order', passed: true, detail: `from ${one.store.rows[0]?.at} to ${one.store.rows.at(-1)?.at}`},
			{name: 'digests', passed: true, detail: '3 looked at'},
			{name: 'decisions', passed: true, detail: '3 looked at'},
			{name: 'approvals', passed: true, detail: '2 looked at'},
			{name: 'intents', passed: true, detail: '2 looked at'},
			{name: 'outcomes', passed: true, detail: '5 looked at'},
			{name: 'head', passed: true, detail: 'event 16 is the signed end'},
			{name: 'signature', passed: true, detail: `Ed25519 by key ${key.keyId}`},
		],
		position: null,
	});
});

test('a capsule is valid as bytes, as text and as JSON; an unknown key is named', () => {
	for (const form of [bytes, bytes.toString('utf8'), capsule()]) {
		const {verdict, checks, ...rest} = verifyCapsule(form);
		assert.equal(verdict, 'valid');
		assert.ok(checks.some(({name}) => name === 'self-signed key'));
		assert.deepEqual(rest, {runId: 'run_1', events: count, keyId: key.keyId, position: null});
	}
	const trusted = verifyCapsule(bytes, {trustedKeyId: key.keyId});
	assert.equal(trusted.verdict, 'valid');
	assert.deepEqual(
		trusted.checks.find(({name}) => name === 'key'),
		{
			name: 'key',
			passed: true,
			detail: `signed with the trusted key ${key.keyId}`,
		},
	);
});

test('a run forged whole under another key is not the trusted one', async () => {
	const forger = sampleKey();
	const forged = await finishedRun(forger, 'run_1');
	const file = await exportCapsule('run_1', {...forged, key: forger, clock: createTestClock(), software: 'x'});
	assert.equal(verifyCapsule(file.bytes).verdict, 'valid');
	const result = verifyCapsule(file.bytes, {trustedKeyId: key.keyId});
	assert.deepEqual([result.verdict, failed(result)], ['cannot_tell', ['key']]);
	const stored = check(forged.store.rows, forged.head);
	assert.deepEqual([stored.verdict, failed(stored)], ['cannot_tell', ['signature']]);
});

test('nothing can be told of an unfinished run, of no events and of other files', async () => {
	const {store} = await startRun(key);
	const unfinished = await exportCapsule('run_1', {store, key, clock: createTestClock(), software: 'x'});
	for (const result of [
		check(store.rows, null),
		check([], null),
		check([], one.head),
		check('rows', null),
		verifyCapsule(unfinished.bytes),
		verifyCapsule(Buffer.from([0xff, 0xd8, 0xff])),
		verifyCapsule('{"format":"writ-capsule/1"'),
		verifyCapsule({format: 'writ-capsule/2', events: []}),
		verifyCapsule(undefined),
		verifyRun(events(), one.head, 'no key'),
	]) {
		assert.equal(result.verdict, 'cannot_tell');
		assert.ok(result.checks.some(({passed}) => !passed));
	}
});

// --- what somebody with the database, but without the key, can do

for (const [name, attack, position] of [
	['drop', (rows: Raw[], at: number) => rows.splice(at, 1), (at: number) => at + 1],
	['duplicate', (rows: Raw[], at: number) => rows.splice(at, 0, structuredClone(rows[at] as Raw)), (at: number) => at + 2],
	['truncate', (rows: Raw[], at: number) => rows.splice(at), (at: number) => at + 1],
	[
		'replace by another run’s',
		(rows: Raw[], at: number) => rows.splice(at, 1, two.store.rows[at] as Raw),
		(at: number) => at + 1,
	],
	['blank', (rows: Raw[], at: number) => rows.splice(at, 1, null as never), (at: number) => at + 1],
] as const) {
	test(`${name} any event: tampered, and the position is right`, () => {
		// The first event of another run makes the others strangers: the break is then seen at the second.
		for (let at = 1; at < count; at += 1) {
			const rows = events();
			attack(rows, at);
			const result = check(rows);
			assert.deepEqual([at, result.verdict, result.position], [at, 'tampered', position(at)]);
		}
		const first = events();
		attack(first, 0);
		assert.notEqual(check(first).verdict, 'valid');
	});
}

test('swapping any two events is tampered, at the first of them', () => {
	fc.assert(
		fc.property(fc.nat(count - 1), fc.nat(count - 1), (a, b) => {
			fc.pre(a < b);
			const rows = events();
			[rows[a], rows[b]] = [rows[b] as Raw, rows[a] as Raw];
			const result = check(rows);
			assert.deepEqual([result.verdict, result.position], ['tampered', a + 1]);
		}),
	);
});

test('changing any field of any event is tampered, at that event', () => {
	for (const [at, row] of events().entries()) {
		for (const [path, value] of leaves(row as never)) {
			const rows = events();
			write(rows[at] as never, path, altered(value));
			const result = check(rows);
			// With the run id of the first event changed, it is the others that belong to another run.
			const expected = at === 0 && path[0] === 'runId' ? [1, 2] : [at + 1];
			assert.deepEqual([path, result.verdict, expected.includes(result.position ?? 0)], [path, 'tampered', true]);
		}
	}
});

test('adding a field to any event is tampered, at that event', () => {
	for (let at = 0; at < count; at += 1) {
		for (const target of [(row: Raw) => row, (row: Raw) => row.data]) {
			const rows = events();
			(target(rows[at] as Raw) as Record<string, unknown>).note = 'x';
			const result = check(rows);
			assert.deepEqual([result.verdict, result.position], ['tampered', at + 1]);
		}
	}
});

test('a chain that was changed and hashed again does not match its signature', () => {
	for (let at = 0; at < count; at += 1) {
		const rows = events();
		(rows[at] as {actor: unknown}).actor = {kind: 'user', id: 'eve', tenant: 'local'};
		const forged = rehash(rows);
		assert.deepEqual(failed(check(forged.rows)), ['head']);
		const result = check(forged.rows, forged.head);
		assert.deepEqual([result.verdict, failed(result), result.position], ['tampered', ['signature'], count]);
	}
});

test('events dropped, with the rest hashed again, do not match the signature', () => {
	for (let at = 1; at < count; at += 1) {
		const rows = events();
		rows.splice(at, 1);
		const forged = rehash(rows);
		assert.equal(check(forged.rows).verdict, 'tampered');
		assert.equal(check(forged.rows, forged.head).verdict, 'tampered');
	}
});

test('changing any field of the head is never valid, and a head that is gone is missed', () => {
	for (const [path, value] of leaves(one.head as never)) {
		const head = structuredClone(one.head);
		write(head as never, path, altered(value));
		const result = check(events(), head);
		// A head that names another key may be an older platform's: it cannot be checked here.
		assert.deepEqual([path, result.verdict], [path, path[0] === 'keyId' ? 'cannot_tell' : 'tampered']);
	}
	const gone = check(events(), null);
	assert.deepEqual([gone.verdict, failed(gone), gone.position], ['tampered', ['head'], count]);
	assert.equal(check(events(), two.head).verdict, 'tampered');
});

test('changing any field of a capsule is tampered', () => {
	for (const [path, value] of leaves(capsule())) {
		if (path[0] === 'format') continue;
		const changed = capsule();
		write(changed, path, altered(value));
		const result = verifyCapsule(changed);
		assert.deepEqual([path, result.verdict], [path, 'tampered']);
		if (path[0] === 'events' && Number(path[1]) > 0) assert.equal(result.position, Number(path[1]) + 1);
		if (path[0] === 'head') assert.equal(result.position, count);
	}
});

test('flipping any byte of a capsule is never valid', () => {
	fc.assert(
		fc.property(fc.nat(bytes.length - 1), fc.integer({min: 1, max: 255}), (at, bits) => {
			const flipped = Buffer.from(bytes);
			flipped[at] = (flipped[at] as number) ^ bits;
			assert.notEqual(verifyCapsule(flipped).verdict, 'valid');
		}),
		{numRuns: 1_500},
	);
});

test('a capsule that reads differently to different readers is tampered', () => {
	const text = bytes.toString('utf8');
	for (const twin of [
		text.replace('{', '{"format":"x",'),
		text.replace('writ 0.1.0', 'writ\\u00200.1.0'),
		`${text}\n`,
		text.trimEnd(),
	]) {
		const result = verifyCapsule(twin);
		assert.deepEqual([result.verdict, failed(result)], ['tampered', ['file']]);
	}
});

test('garbage is never valid and never a throw', () => {
	fc.assert(
		fc.property(fc.oneof(fc.anything(), fc.json(), fc.uint8Array(), fc.array(fc.anything())), fc.anything(), (value, head) => {
			assert.notEqual(verifyCapsule(value).verdict, 'valid');
			assert.notEqual(verifyRun(value, head, String(head === null ? '' : typeof head)).verdict, 'valid');
			assert.notEqual(verifyCapsule({format: 'writ-capsule/1', events: [value], head: value, publicKey: value}).verdict, 'valid');
			assert.notEqual(verifyCapsule({...capsule(), events: [...events(), value]}).verdict, 'valid');
			assert.notEqual(check([value, ...events().slice(1)]).verdict, 'valid');
		}),
		{numRuns: 300},
	);
});

// --- what a writer must not do, even with the key

for (const [name, change, position, detail] of [
	[
		'an input that is not the one decided on',
		(bodies: EventBody[]) => Object.assign(data(bodies, 'action.proposed', 1), {input: {target: 'other'}}),
		9,
		'the input is not the one whose digest was decided on',
	],
	[
		'an output that does not match its digest',
		(bodies: EventBody[]) => Object.assign(data(bodies, 'action.outcome'), {output: 1}),
		7,
		'the output does not match its digest',
	],
	[
		'an effect of a denied action',
		(bodies: EventBody[]) => bodies.splice(-1, 0, intent('act_3', null)),
		16,
		'action act_3 was not allowed',
	],
	[
		'an outcome without an intent',
		(bodies: EventBody[]) => bodies.splice(4, 1),
		6,
		'action act_1 has an outcome without an intent',
	],
	[
		'an action of which nothing says what became of it',
		(bodies: EventBody[]) => bodies.splice(5, 2),
		14,
		'action act_1 was started, and nothing says what became of it',
	],
	['an effect without its approval', (bodies: EventBody[]) => bodies.splice(3, 1), 5, 'approval apr_1 was not granted'],
	[
		'an approval for another action',
		(bodies: EventBody[]) => Object.assign(data(bodies, 'action.intent'), {binding: 'b2'}),
		6,
		'approval apr_1 covers another action than the one that was started',
	],
	[
		'an approval by an agent',
		(bodies: EventBody[]) =>
			Object.assign(data(bodies, 'approval.granted'), {approver: {kind: 'agent', id: 'bot', tenant: 'local'}}),
		5,
		'bot is no person, and only a person may approve',
	],
	[
		'an approval that came too late',
		(bodies: EventBody[]) => Object.assign(data(bodies, 'approval.requested'), {approveBy: '2026-03-01T12:00:00.000Z'}),
		5,
		'it came after 2026-03-01T12:00:00.000Z',
	],
	[
		'an approval used too late',
		(bodies: EventBody[]) => Object.assign(data(bodies, 'approval.granted'), {executeBy: '2026-03-01T12:00:00.000Z'}),
		6,
		'it was started after 2026-03-01T12:00:00.000Z, when its approval had run out',
	],
	[
		'an action started twice',
		(bodies: EventBody[]) => bodies.splice(5, 0, intent('act_1', 'apr_1')),
		7,
		'action act_1 was started before',
	],
	[
		'a decision milder than its gates',
		(bodies: EventBody[]) => ((data(bodies, 'action.decided', 2) as {decision: {effect: string}}).decision.effect = 'allow'),
		15,
		'it says allow, but its gates say deny',
	],
	[
		'a rejection nobody spoke',
		(bodies: EventBody[]) => bodies.splice(4, 1) && Object.assign(data(bodies, 'action.outcome'), {status: 'rejected'}),
		6,
		'nobody rejected action act_1',
	],
] as const) {
	test(`a signed run is tampered when it holds ${name}`, async () => {
		const result = await misconduct(change as (bodies: EventBody[]) => void);
		assert.deepEqual([result.verdict, result.position], ['tampered', position]);
		assert.ok(
			result.checks.some((each) => each.detail === `event ${position}: ${detail}`),
			JSON.stringify(result.checks, null, 1),
		);
	});
}

test('an approval is used once, whichever action uses it', async () => {
	const result = await misconduct((bodies) => {
		for (const type of ['approval.requested', 'approval.granted', 'action.intent'] as const) data(bodies, type).binding = 'b1';
		const decision = data(bodies, 'action.decided', 1) as {decision: unknown};
		decision.decision = (data(bodies, 'action.decided') as {decision: unknown}).decision;
		Object.assign(data(bodies, 'action.intent', 1), {approvalId: 'apr_1', binding: 'b1'});
	});
	assert.deepEqual([result.verdict, result.position, failed(result)], ['tampered', 11, ['intents']]);
});

test('events after the end, a second start and times that run backwards are tampered even when signed', () => {
	const late = rehash([...events(), {...(events()[1] as Raw)}]);
	const twice = rehash([events()[0] as Raw, ...events()]);
	const back = rehash(events().map((row, index) => (index === 4 ? {...row, at: '2020-01-01T00:00:00.000Z'} : row)));
	for (const [{rows}, position] of [
		[late, count + 1],
		[twice, 2],
		[back, 5],
	] as const) {
		const last = rows.at(-1) as Raw;
		const head = signHead(key, {runId: 'run_1', seq: rows.length, hash: last.hash, at: last.at});
		const result = check(rows, head);
		assert.deepEqual([result.verdict, result.position], ['tampered', position]);
	}
});

function intent(actionId: string, approvalId: string | null): EventBody {
	const actor = {kind: 'agent', id: 'bot', tenant: 'local'} as const;
	return {type: 'action.intent', actor, data: {actionId, permitId: 'pmt_x', approvalId, binding: 'b1', limits: {}}};
}

type Path = readonly (string | number)[];

function leaves(value: Json, path: Path = []): [Path, Json][] {
	if (value === null || typeof value !== 'object') return [[path, value]];
	const members = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
	return members.flatMap(([key, member]) => leaves(member, [...path, key]));
}

function write(target: Json, path: Path, value: Json): void {
	const parent = path.slice(0, -1).reduce<Json>((at, step) => (at as Record<string, Json>)[step] as Json, target);
	(parent as Record<string, Json>)[path.at(-1) as string] = value;
}

function altered(value: Json): Json {
	if (typeof value === 'string') return value.endsWith('x') ? `${value}y` : `${value.slice(0, -1)}x`;
	return typeof value === 'number' ? value + 1 : value === null ? 0 : !value;
}

test('the canonical form of the sample capsule is its file', () =>
	assert.equal(`${canonical(capsule())}\n`, bytes.toString('utf8')));
