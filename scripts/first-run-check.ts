/**
 * The golden path on a fresh data directory: the server starts, the datasets answer, one explicit SQL run computes in the sandbox,
 * its evidence verifies offline. One PASS line each; the exit code tells.
 */
import {spawn} from 'node:child_process';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {ChatResponse} from '#contract/api.ts';

const root = path.resolve(import.meta.dirname, '..');
const writ = path.join(root, 'bin/writ');
const directory = await mkdtemp(path.join(tmpdir(), 'writ-first-run-'));
const port = process.env.FIRST_RUN_PORT ?? String(await freePort());
const base = `http://127.0.0.1:${port}`;
const env = {...process.env, WRIT_DATA_DIR: directory, WRIT_HOST: '127.0.0.1', WRIT_PORT: port, WRIT_URL: base};

let failed = false;
const server = {process: null as ReturnType<typeof spawn> | null, log: ''};

try {
	await step('the server starts', async () => {
		server.process = spawn(writ, ['serve'], {env, stdio: ['ignore', 'pipe', 'pipe']});
		for (const stream of [server.process.stdout, server.process.stderr]) stream?.on('data', (chunk) => (server.log += chunk));
		const ready = await until(async () => (await fetch(`${base}/readyz`)).ok, 30_000);
		expect(ready, `not ready after 30 s; its log:\n${server.log.split('\n').slice(-40).join('\n')}`);
	});
	await step('sample datasets are generated and ingested', async () => {
		const {code, output} = await run('datasets', 'samples');
		expect(code === 0, output);
	});
	await step('/healthz says ok', async () => {
		const health = await get<{status: string}>('/healthz');
		expect(health.status === 'ok', JSON.stringify(health));
	});
	await step('/datasets lists ecommerce, support and sensors', async () => {
		const {datasets} = await get<{datasets: {id: string}[]}>('/datasets');
		const ids = datasets.map((dataset) => dataset.id).sort();
		expect(JSON.stringify(ids) === '["ecommerce","sensors","support"]', JSON.stringify(ids));
	});
	const run1 = {id: ''};
	await step('an explicit SQL question is computed in the sandbox', async () => {
		const message = 'SQL: SELECT count(*) AS total_tickets FROM tickets';
		const reply = await chat({dataset_id: 'support', thread_id: 'first-run-check', message});
		const {status, result} = reply;
		expect(status === 'succeeded' && result.row_count === 1 && result.rows[0]?.[0] === 6417, JSON.stringify(reply));
		run1.id = reply.run_id;
	});
	await step('its evidence verifies offline', async () => {
		const capsule = path.join(directory, 'capsule.json');
		await writeFile(capsule, Buffer.from(await (await fetch(`${base}/runs/${run1.id}/evidence`)).arrayBuffer()));
		const {code, output} = await run('evidence', 'verify', capsule);
		expect(code === 0, output);
	});
	await step('a file the sandbox must not see is not seen', async () => {
		const reply = await chat({dataset_id: 'support', message: "SQL: SELECT * FROM read_text('/etc/passwd')"});
		expect(reply.status === 'rejected' && reply.result.error?.type === 'SQL_POLICY_VIOLATION', JSON.stringify(reply));
	});
	await step('the server stops when it is asked to', async () => {
		const child = server.process;
		const exit = new Promise<number | null>((resolve) => child?.once('exit', resolve));
		child?.kill('SIGTERM');
		expect((await exit) === 0, server.log.split('\n').slice(-10).join('\n'));
		server.process = null;
	});
} finally {
	server.process?.kill('SIGKILL');
	await rm(directory, {recursive: true, force: true});
}
console.log(failed ? 'first-run-check: FAILED' : 'first-run-check: all passed');
process.exitCode = failed ? 1 : 0;

async function step(name: string, work: () => Promise<void>): Promise<void> {
	if (failed) return console.log(`SKIP ${name}`);
	try {
		await work();
		console.log(`PASS ${name}`);
	} catch (error) {
		failed = true;
		console.log(`FAIL ${name}: ${error instanceof Error ? error.message : error}`);
	}
}

function expect(holds: boolean, otherwise: string): void {
	if (!holds) throw new Error(otherwise);
}

async function get<Reply>(route: string): Promise<Reply> {
	return (await fetch(base + route)).json() as Promise<Reply>;
}

async function chat(body: unknown): Promise<ChatResponse> {
	return (
		await fetch(`${base}/chat`, {method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(body)})
	).json() as Promise<ChatResponse>;
}

function run(...args: string[]): Promise<{code: number | null; output: string}> {
	return new Promise((resolve) => {
		const child = spawn(writ, args, {env, stdio: ['ignore', 'pipe', 'pipe']});
		let output = '';
		for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
		child.once('exit', (code) => resolve({code, output}));
	});
}

async function until(holds: () => Promise<boolean>, withinMs: number): Promise<boolean> {
	for (const end = Date.now() + withinMs; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
		if (await holds().catch(() => false)) return true;
	}
	return false;
}

function freePort(): Promise<number> {
	return new Promise((resolve) => {
		const probe = createServer().listen(0, '127.0.0.1', () => {
			const address = probe.address();
			probe.close(() => resolve(typeof address === 'object' && address ? address.port : 18080));
		});
	});
}
