/**
 * How long it takes until everything stands still: fifty programs in sandboxes of two servers that share one PostgreSQL.
 *   eval "$(scripts/postgres.sh start)"; DATABASE_URL=$DATABASE_URL node bench/kill-switch.ts [--rounds 5]
 */
import {randomUUID} from 'node:crypto';
import {setTimeout as pause} from 'node:timers/promises';
import {parseArgs} from 'node:util';
import pg from 'pg';
import type {ModeReply} from '#contract/mode.ts';
import {eventually, freshData, jsonPost, type Scope, startWrit, type Writ} from '../test/server.ts';

const EACH = 25;

const {values} = parseArgs({options: {rounds: {type: 'string', default: '5'}}});
const endings: (() => Promise<void> | void)[] = [];
const scope: Scope = {after: (work) => void endings.push(work)};
const url = process.env.DATABASE_URL;
if (!url) throw new Error('DATABASE_URL is not set: scripts/postgres.sh starts a server and prints one');

type Round = {readonly observed: number; readonly answered: number; readonly dead: number};

const rounds: Round[] = [];
try {
	const shared = await ownSchema(url);
	const servers = await Promise.all([serve(shared), serve(shared)]);
	for (let n = 0; n < Number(values.rounds); n += 1) rounds.push(await measure(servers));
} finally {
	for (const end of endings.toReversed()) await end();
}
for (const [name, about] of [
	['observed', 'the other server is in observe mode'],
	['answered', 'every run has ended and every caller knows'],
	['dead', 'no sandbox of either server is at work'],
] as const) {
	const sorted = rounds.map((round) => round[name]).toSorted((a, b) => a - b);
	process.stdout.write(`${about.padEnd(46)} median ${sorted[sorted.length >> 1]} ms, most ${sorted.at(-1)} ms\n`);
}

async function measure([one, other]: readonly Writ[]): Promise<Round> {
	if (!one || !other) throw new Error('two servers are needed');
	const program = {language: 'python', code: 'import time\ntime.sleep(3600)'};
	const running = [one, other].flatMap((writ) =>
		Array.from({length: EACH}, () => writ.request('/api/v1/code', jsonPost(program))),
	);
	await eventually('fifty programs', async () => (await busy(one)) + (await busy(other)) === 2 * EACH || undefined, 180_000);
	for (const each of running) each.catch(() => {}); // an error elsewhere ends the servers
	const started = performance.now();
	const since = () => Math.round(performance.now() - started);
	const stopped = one.post('/api/v1/kill-switch', {reason: 'bench'});
	const observed = until(async () => (await other.get<ModeReply>('/api/v1/kill-switch')).body.mode === 'observe').then(since);
	const answered = Promise.all(running.map(async (reply) => (await reply).json())).then(since);
	const dead = until(async () => (await busy(one)) + (await busy(other)) === 0).then(since);
	const round = {observed: await observed, answered: await answered, dead: await dead};
	await stopped;
	await one.post('/api/v1/kill-switch', {mode: 'execute'});
	await eventually(
		'server that goes on',
		async () => (await other.get<ModeReply>('/api/v1/kill-switch')).body.mode === 'execute' || undefined,
	);
	return round;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
	while (!(await holds())) await pause(5);
}

async function busy(writ: Writ): Promise<number> {
	const text = await (await writ.request('/metrics')).text();
	return Number(/writ_sandboxes\{[^}]*state="busy"[^}]*\} (\d+)/.exec(text)?.[1] ?? 0);
}

function serve(shared: string): Promise<Writ> {
	return startWrit(scope, {
		dataDir: freshData(scope),
		until: 'listening',
		env: {
			...{STORAGE_PROVIDER: 'postgres', DATABASE_URL: shared, SANDBOX_PROVIDER: 'process', WRIT_MAX_SANDBOXES: '64'},
			...{WRIT_POOL_SIZE: '0', RUN_TIMEOUT_SECONDS: '600', LOG_LEVEL: 'info'},
		},
	});
}

async function ownSchema(database: string): Promise<string> {
	const schema = `bench_${randomUUID().replaceAll('-', '')}`;
	const execute = async (sql: string) => {
		const client = new pg.Client({connectionString: database});
		await client.connect();
		await client.query(sql).finally(() => client.end());
	};
	await execute(`CREATE SCHEMA ${schema}`);
	scope.after(() => execute(`DROP SCHEMA ${schema} CASCADE`));
	const own = new URL(database);
	own.searchParams.set('options', `-c search_path=${schema}`);
	return own.href;
}
