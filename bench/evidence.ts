/**
 * How quickly a chain is verified: each link and hash again (chain), and with every shape, rule and the signature (all).
 * Processor time: verification does nothing but compute, and what else the machine does is not its figure.
 */
import {openJournal} from '#evidence/journal.ts';
import {signHead} from '#evidence/keys.ts';
import {createRedactor} from '#evidence/redact.ts';
import {ADA, createMemoryStore, createTestClock, STARTED, sampleBodies, sampleKey} from '#evidence/sample-run.ts';
import {checkChain, verifyRun} from '#evidence/verify.ts';
import {figure, report} from './harness.ts';

const EVENTS = 20_000;
const ROUNDS = 9;

const key = sampleKey();
const store = createMemoryStore();
const journal = await openJournal({
	store,
	runId: 'run_1',
	principal: ADA,
	fence: {holder: 'h1', leaseMs: 1_000},
	clock: createTestClock(),
	redact: createRedactor([]),
	sign: (end) => signHead(key, end),
	started: STARTED,
});
const bodies = sampleBodies();
const [end, allowed] = [bodies.at(-1), bodies.slice(7, 12)];
for (let n = 0; journal.events.length < EVENTS; n += 1) {
	const numbered = allowed.map((body) => ({...body, data: {...body.data, actionId: `act_2_${n}`}}) as typeof body);
	await journal.append(...numbered);
}
if (end) await journal.append({...end, data: {...end.data, resultActionId: null}} as typeof end);
const events = await store.rawEvents('run_1');
const head = await store.head('run_1');

/** Events per second of processor time. */
function rate(verify: () => string): number {
	const start = process.cpuUsage();
	const verdict = verify();
	const {user, system} = process.cpuUsage(start);
	if (verdict !== 'valid') throw new Error(`the run is ${verdict}`);
	return events.length / ((user + system) / 1e6);
}

function rates(verify: () => string): number[] {
	rate(verify);
	return Array.from({length: ROUNDS}, () => rate(verify));
}

await report(async () => [
	figure({
		name: 'verification of a chain',
		unit: '1/s',
		samples: rates(() => checkChain(events).verdict),
		target: {of: 'p50', atLeast: 100_000},
	}),
	figure({
		name: 'verification of a run, all checks',
		unit: '1/s',
		samples: rates(() => verifyRun(events, head, key.publicKey).verdict),
	}),
]);
