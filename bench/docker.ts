/**
 * How long a container takes to answer, cold and warm, and to die, beside the same work under a plain `docker run` of the same image.
 * The engine is the one at DOCKER_HOST, or else one of our own.
 */
import {execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import path from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import {createDockerProvider} from '#sandbox/docker/docker.ts';
import {imageName, programIn} from '#sandbox/docker/image.ts';
import {encodeFrame} from '#sandbox/frames.ts';
import {createPool} from '#sandbox/pool.ts';
import type {SandboxProvider} from '#sandbox/sandbox.ts';
import {type Bench, type Figure, figure, inTurn, report, timed} from './harness.ts';

const MIB = 2 ** 20;
const root = path.join(import.meta.dirname, '..');
const signal = new AbortController().signal;
const limits = {
	...{wallMs: 20_000, memoryBytes: 512 * MIB, cpus: 2, processes: 64, openFiles: 256},
	...{scratchBytes: 64 * MIB, outputBytes: 16 * MIB},
};
const spec: SandboxSpec = {runner: 'sql', mounts: [], network: 'none', limits};
const count: RunnerRequest = {kind: 'sql', views: [], sql: 'SELECT count(*) FROM range(6417)', maxRows: 10, maxBytes: 10_000};
const endless: RunnerRequest = {
	...count,
	sql: 'SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 1',
};
const permit = mintPermit({id: 'bench', runId: 'run_bench', actionId: 'act_bench', tool: 'bench', tenant: 'bench', binding: ''});

await report(async (bench) => {
	const host = process.env.DOCKER_HOST ?? startEngine(bench);
	const image = process.env.RUNNER_IMAGE ?? imageName(root);
	const figures: Figure[] = [];
	for (const runtime of ['runc', 'runsc'] as const) {
		const provider = createDockerProvider({root, host, image, runtime});
		bench.after(() => provider.close());
		const {availability} = await provider.facts();
		if (availability.kind === 'available') figures.push(...(await measure(bench, provider, {host, image, runtime})));
		else console.error(`${runtime}: ${availability.reason}`);
	}
	return figures;
});

type Place = {readonly host: string; readonly image: string; readonly runtime: 'runc' | 'runsc'};

async function measure({quick}: Bench, provider: SandboxProvider, place: Place): Promise<Figure[]> {
	const {cold, plain} = await inTurn(
		{runs: quick ? 5 : 30, warmUp: 1},
		{cold: () => runCold(provider), plain: () => runPlain(place)},
	);
	const killed: number[] = [];
	for (let run = 0; run < (quick ? 3 : 20); run += 1) killed.push(await runEndless(provider));
	const warm = await runWarm(provider, quick ? 8 : 200);
	const name = (what: string) => `docker with ${place.runtime}, ${what}`;
	return [
		figure({
			...{name: name('cold: start to answer and nothing left (baseline: docker run --rm)'), unit: 'ms'},
			...{samples: cold, baseline: plain, target: {of: 'ratio', atMost: 1.15}},
		}),
		figure({name: name('kill: time limit to nothing left'), unit: 'ms', samples: killed}),
		figure({name: name('warm: claim to answer'), unit: 'ms', samples: warm, target: {of: 'p50', atMost: 40}}),
		figure({name: name('warm: claim to answer, the slow ones'), unit: 'ms', samples: warm, target: {of: 'p95', atMost: 150}}),
	];
}

async function runCold(provider: SandboxProvider): Promise<void> {
	const sandbox = await provider.open(spec, {warm: false, signal});
	await sandbox.run(permit, count, signal);
	await sandbox.ended;
}

/** The same runner of the same image with the same question, by the engine's own command line and its own defaults. */
async function runPlain({host, image, runtime}: Place): Promise<void> {
	const {command, environment} = programIn(root, spec);
	const variables = Object.entries(environment).flatMap(([key, value]) => ['-e', `${key}=${value}`]);
	const shell = ['-c', 'exec 3>&1 1>&2; exec "$@"', 'sh', ...command];
	// Under the engine's own filter no thread can be made in gVisor, which has no way to say that `clone3` is missing.
	const unfiltered = runtime === 'runsc' ? ['--security-opt', 'seccomp=unconfined'] : [];
	const options = [
		'run',
		'--rm',
		'-i',
		'--pull',
		'never',
		'--runtime',
		runtime,
		'--network',
		'none',
		...unfiltered,
		...variables,
	];
	const child = spawn('docker', [...options, '--entrypoint', '/usr/bin/sh', image, ...shell], {
		env: {...process.env, DOCKER_HOST: host},
		stdio: ['pipe', 'pipe', 'inherit'],
	});
	let answer = '';
	child.stdout.on('data', (chunk) => (answer += chunk));
	child.stdin.end(encodeFrame(count));
	const [code] = await once(child, 'close');
	if (code !== 0 || !answer.includes('"done"')) throw new Error(`docker run ended with ${code}: ${answer}`);
}

async function runEndless(provider: SandboxProvider): Promise<number> {
	const wallMs = 200;
	const sandbox = await provider.open({...spec, limits: {...limits, wallMs}}, {warm: false, signal});
	const took = await timed(() => sandbox.run(permit, endless, signal).catch(() => sandbox.ended));
	return took - wallMs;
}

async function runWarm(provider: SandboxProvider, runs: number): Promise<number[]> {
	const pool = createPool({provider: {...provider, close: async () => {}}, size: 4, perSpec: 2, concurrency: 2, queue: 10});
	await pool.warm([{spec, tenant: 'bench'}]);
	const samples: number[] = [];
	for (let run = 0; run < runs; run += 1) {
		while (pool.stats().idle < 2) await delay(5);
		samples.push(await timed(() => pool.run(permit, {spec, request: count}, signal)));
	}
	await pool.close();
	return samples;
}

function startEngine({after}: Bench): string {
	const script = path.join(root, 'scripts/docker.sh');
	const output = execFileSync(script, ['start'], {encoding: 'utf8'});
	const [, host = ''] = /^DOCKER_HOST=(.*)$/m.exec(output) ?? [];
	const [, directory = ''] = /^DOCKERDIR=(.*)$/m.exec(output) ?? [];
	after(() => void execFileSync(script, ['stop', directory]));
	return host;
}
