/**
 * How long it takes until everything stands still: fifty programs in sandboxes of two servers that share a database.
 *   node bench/kill-switch.ts [--rounds 10]                    two servers on one SQLite file
 *   eval "$(scripts/postgres.sh start)"; DATABASE_URL=$DATABASE_URL node bench/kill-switch.ts
 * A program counts as running when its process bears a name that only it can have given itself, and as dead when the kernel lists no
 * such process any more: no server is asked, and none is kept busy with questions.
 */
import {randomUUID} from 'node:crypto';
import {readdirSync, readFileSync} from 'node:fs';
import {cpus, loadavg} from 'node:os';
import path from 'node:path';
import {setTimeout as pause} from 'node:timers/promises';
import {parseArgs} from 'node:util';
import pg from 'pg';
import type {ModeReply} from '#contract/mode.ts';
import {eventually, freshData, jsonPost, type Scope, startWrit, type Writ} from '../test/server.ts';

const EACH = 25;
const NAME = 'writ-endless';
const PROGRAM = `import ctypes, time\nctypes.CDLL(None).prctl(15, b'${NAME}', 0, 0, 0)\ntime.sleep(3600)`;
const LOOK_MS = 5;

const {values} = parseArgs({options: {rounds: {type: 'string', default: '10'}}});
const endings: (() => Promise<void> | void)[] = [];
const scope: Scope = {after: (work) => void endings.push(work)};
const url = process.env.DATABASE_URL;

/** Milliseconds from the request to stop. */
type Round = {
	readonly dead: number;
	readonly observed: number;
	readonly stopped: number;
	readonly answered: number;
	readonly cpu: number;
};

const rounds: Round[] = [];
try {
	const shared = url
		? {STORAGE_PROVIDER: 'postgres', DATABASE_URL: await ownSchema(url)}
		: {CAPSULE_DB_PATH: path.join(freshData(scope), 'writ.db')};
	const servers = [await serve(shared), await serve(shared)];
	for (let n = 0; n < Number(values.rounds); n += 1) rounds.push(await measure(servers));
} finally {
	for (const end of endings.toReversed()) await end();
}
say(
	`${2 * EACH} programs, two servers on one ${url ? 'PostgreSQL' : 'SQLite file'}, ${rounds.length} rounds, ${cpus().length} processors, load ${loadavg()[0]?.toFixed(1)}`,
);
for (const [name, about] of [
	['dead', 'no process of any program is left'],
	['observed', 'the other server is in observe mode'],
	['stopped', 'whoever stopped it knows that it is on record'],
	['answered', 'every run has ended and every caller knows'],
	['cpu', 'processor time of both servers until then'],
] as const) {
	const sorted = rounds.map((round) => round[name]).toSorted((a, b) => a - b);
	say(`${about.padEnd(46)} p50 ${quantile(sorted, 0.5)} ms, p95 ${quantile(sorted, 0.95)} ms, worst ${sorted.at(-1)} ms`);
}

async function measure([one, other]: readonly Writ[]): Promise<Round> {
	if (!one || !other) throw new Error('two servers are needed');
	const program = {language: 'python', code: PROGRAM};
	const running = [one, other].flatMap((writ) =>
		Array.from({length: EACH}, () => writ.request('/api/v1/code', jsonPost(program))),
	);
	await eventually('fifty programs', () => (alive() === 2 * EACH ? true : undefined), 180_000);
	for (const each of running) each.catch(() => {}); // an error elsewhere ends the servers
	const used = cpuOf(one) + cpuOf(other);
	const started = performance.now();
	const since = () => Math.round(performance.now() - started);
	const stopped = one.post('/api/v1/kill-switch', {reason: 'bench'}).then(since);
	const dead = until(() => alive() === 0).then(since);
	const observed = until(async () => (await other.get<ModeReply>('/api/v1/kill-switch')).body.mode === 'observe').then(since);
	const answered = await Promise.all(running.map(async (reply) => (await reply).json())).then(since);
	const round = {
		dead: await dead,
		observed: await observed,
		stopped: await stopped,
		answered,
		cpu: cpuOf(one) + cpuOf(other) - used,
	};
	await one.post('/api/v1/kill-switch', {mode: 'execute'});
	await eventually(
		'server that goes on',
		async () => (await other.get<ModeReply>('/api/v1/kill-switch')).body.mode === 'execute' || undefined,
	);
	return round;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
	while (!(await holds())) await pause(LOOK_MS);
}

function alive(): number {
	return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && nameOf(pid) === NAME).length;
}

function nameOf(pid: string): string {
	try {
		return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
	} catch {
		return ''; // it has ended meanwhile
	}
}

/** Milliseconds of processor time that a server has used itself; a tick is ten. */
function cpuOf({pid}: Writ): number {
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
	return (Number(fields[11]) + Number(fields[12])) * 10;
}

function quantile(sorted: readonly number[], share: number): number | undefined {
	return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
}

function say(line: string): void {
	process.stdout.write(`${line}\n`);
}

function serve(shared: Readonly<Record<string, string>>): Promise<Writ> {
	return startWrit(scope, {
		dataDir: freshData(scope),
		until: 'listening',
		env: {
			...{...shared, SANDBOX_PROVIDER: 'process', WRIT_MAX_SANDBOXES: '64'},
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
