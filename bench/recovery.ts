/**
 * How soon a server that was killed has put a thousand runs in order: from its start until none of them is left running. Each had begun,
 * so that nobody knows what became of it; what that costs of the processor is a figure of its own.
 */
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {DatabaseSync} from 'node:sqlite';
import {setTimeout as pause} from 'node:timers/promises';
import {eventually, freshData, jsonPost, type Scope, startWrit, type Writ} from '../test/server.ts';
import {figure, report} from './harness.ts';

const RUNS = 1_000;
const WITHIN_MS = 5_000;
/** a machine with other things to do takes its time to begin them */
const BEGIN_MS = 300_000;
const TICK_MS = 1_000 / 100;

await report(async (bench) => {
	const rounds = bench.quick ? 1 : 3;
	const [settled, cpu]: [number[], number[]] = [[], []];
	for (let round = 0; round < rounds; round += 1) {
		const measured = await measure();
		settled.push(measured.settled);
		cpu.push(measured.cpu);
	}
	const name = `${RUNS} runs in flight, from restart to settled`;
	return [
		figure({name, unit: 'ms', samples: settled, target: {of: 'p50', atMost: WITHIN_MS}}),
		figure({name: 'processor time of that', unit: 'ms', samples: cpu}),
	];
});

async function measure(): Promise<{readonly settled: number; readonly cpu: number}> {
	const endings: (() => Promise<void> | void)[] = [];
	const scope: Scope = {after: (work) => void endings.push(work)};
	try {
		const dataDir = freshData(scope);
		await killInFlight(await serve(scope, dataDir), dataDir);
		const begin = performance.now();
		const writ = await serve(scope, dataDir);
		const db = new DatabaseSync(path.join(dataDir, 'writ.db'), {readOnly: true});
		const left = db.prepare('SELECT count(*) AS n FROM runs WHERE finished_at IS NULL');
		while (Number(left.get()?.n) > 0) await pause(10);
		const settled = performance.now() - begin;
		const unknown = Number(db.prepare("SELECT count(*) AS n FROM runs WHERE status = 'unknown'").get()?.n);
		db.close();
		if (unknown !== RUNS) throw new Error(`${unknown} of ${RUNS} runs are unknown`);
		return {settled, cpu: processorTime(writ)};
	} finally {
		for (const end of endings.toReversed()) await end();
	}
}

/** A thousand programs that never end: one has the sandbox, the others wait for it. */
async function killInFlight(writ: Writ, dataDir: string): Promise<void> {
	const program = jsonPost({language: 'javascript', code: 'await new Promise((resolve) => setTimeout(resolve, 3_600_000))'});
	for (let n = 0; n < RUNS; n += 1) writ.request('/api/v1/code', program).catch(() => {}); // its server is killed
	const db = new DatabaseSync(path.join(dataDir, 'writ.db'), {readOnly: true});
	const begun = db.prepare('SELECT count(*) AS n FROM events WHERE event LIKE \'%"type":"action.intent"%\'');
	await eventually('begin of every run', () => Number(begun.get()?.n) === RUNS || undefined, BEGIN_MS);
	db.close();
	await writ.stop('SIGKILL');
}

function serve(scope: Scope, dataDir: string): Promise<Writ> {
	const limits = {WRIT_MAX_CONCURRENT_RUNS: String(2 * RUNS), WRIT_REQUESTS_PER_MINUTE: '1000000', WRIT_BURST: '1000000'};
	const env = {...limits, SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_MAX_SANDBOXES: '1', RUN_TIMEOUT_SECONDS: '3600'};
	return startWrit(scope, {dataDir, until: 'listening', env: {...env, LOG_LEVEL: 'info'}});
}

/** Of the server's own process and its threads, in milliseconds. */
function processorTime({pid}: Writ): number {
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
	return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
