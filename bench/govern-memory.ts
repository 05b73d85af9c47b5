/**
 * One governed action with a tool that does nothing, on a store in memory: the price of the path itself, beside the same tool called
 * directly. `node bench/govern-memory.ts` prints a line, `--json` one object.
 */
import {generateKeyPairSync, sign} from 'node:crypto';
import {parseArgs} from 'node:util';
import {z} from 'zod';
import {createApprovals} from '#approvals/approvals.ts';
import {digest} from '#evidence/canonical.ts';
import {openJournal} from '#evidence/journal.ts';
import {keyIdOf, signHead} from '#evidence/keys.ts';
import {createRedactor} from '#evidence/redact.ts';
import {govern} from '#kernel/govern.ts';
import type {Kernel} from '#kernel/ports.ts';
import type {Tool} from '#kernel/tool.ts';
import {createPolicy, loadDefaultPolicy} from '#policy/policy.ts';
import {openMemory} from '#store/memory.ts';

const WARM_UP = 4_000;
const RUNS = 10_000;
/** as many as a long run has; `govern` reads the events of its run */
const ACTIONS_PER_RUN = 20;
const TARGET_MS = 0.07;

const principal = {kind: 'user', id: 'ada', tenant: 'local'} as const;
const {publicKey, privateKey} = generateKeyPairSync('ed25519');
const key = {
	keyId: keyIdOf(publicKey),
	publicKey: publicKey.export({type: 'spki', format: 'der'}).toString('base64'),
	sign: (text: string) => sign(null, Buffer.from(text), privateKey).toString('base64'),
};

const tool: Tool<{readonly text: string}, string> = {
	name: 'analyst.noop',
	version: '1',
	title: 'Nothing',
	description: 'Does nothing.',
	input: z.strictObject({text: z.string()}),
	output: z.string(),
	effect: 'read',
	risk: 'low',
	idempotent: true,
	labels: ['untrusted'],
	limits: {wallMs: 60_000, maxRows: 10, maxBytes: 1_000},
	resource: () => ({type: 'Dataset', id: 'support'}),
	run: async ({text}) => text,
};

const ids = {next: 0};
const newId = (prefix: string) => {
	ids.next += 1;
	return `${prefix}_${ids.next}`;
};
const policy = createPolicy({...loadDefaultPolicy(), disabledTools: new Map(), maxRisk: 'high', digest});
const clock = {now: () => new Date()};
const kernel: Kernel = {
	tools: new Map([[tool.name, tool]]),
	policy: () => policy,
	approvals: createApprovals({approveWithinMs: 60_000, executeWithinMs: 60_000, newId}),
	sandboxes: {run: () => Promise.reject(new Error('not used'))},
	clock,
	redact: createRedactor(['a-configured-secret']),
	digest,
	newId,
	budget: {actions: 1_000, tokens: 1_000, costUsd: 1, wallMs: 3_600_000},
	progress: () => {},
	report: () => {},
};

function startRun() {
	return openJournal({
		store: openMemory(),
		runId: newId('run'),
		principal,
		fence: {holder: 'bench', leaseMs: 60_000},
		clock,
		redact: kernel.redact,
		sign: (end) => signHead(key, end),
		started: {
			job: 'analyst',
			mode: 'sql',
			threadId: null,
			question: null,
			dataset: {id: 'support', hash: 'f'.repeat(64)},
			software: 'writ',
			policyVersion: policy.version,
		},
	});
}

async function measure(runs: number): Promise<Float64Array> {
	const times = new Float64Array(runs);
	const signal = new AbortController().signal;
	let journal = await startRun();
	for (let index = 0; index < runs; index += 1) {
		if (index % ACTIONS_PER_RUN === 0) journal = await startRun();
		const proposal = {id: newId('act'), tool: tool.name, input: {text: `hello ${index}`}};
		const start = performance.now();
		const {kind} = await govern(proposal, journal, kernel, signal);
		times[index] = performance.now() - start;
		if (kind !== 'succeeded') throw new Error(`action ${index} is ${kind}`);
	}
	return times.sort();
}

async function measureBare(runs: number): Promise<Float64Array> {
	const times = new Float64Array(runs);
	for (let index = 0; index < runs; index += 1) {
		const start = performance.now();
		await tool.run(tool.input.parse({text: `hello ${index}`}), {} as never);
		times[index] = performance.now() - start;
	}
	return times.sort();
}

const at = (sorted: Float64Array, part: number) =>
	Math.round((sorted[Math.floor(sorted.length * part)] ?? Number.NaN) * 100_000) / 100_000;

await measure(WARM_UP);
await measureBare(WARM_UP);
const [times, bare] = [await measure(RUNS), await measureBare(RUNS)];
const [p50, p95, p99, baseline] = [at(times, 0.5), at(times, 0.95), at(times, 0.99), at(bare, 0.5)];
const ratio = Math.round(p50 / baseline);
const ok = p50 <= TARGET_MS;
const figure = {name: 'governed action in memory', unit: 'ms', p50, p95, p99, runs: RUNS, baseline, ratio, target: TARGET_MS, ok};

const {values} = parseArgs({options: {json: {type: 'boolean', default: false}}});
if (values.json) console.log(JSON.stringify(figure));
else console.table([figure]);
