/**
 * How long a container takes to answer, cold and warm, and to die, beside the same work under a plain `docker run` of the same image.
 * The engine is the one at DOCKER_HOST, or else one of our own. `--long` adds ten thousand runs in an engine of our own, to see what they leave behind.
 */
import {execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {globSync, readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import {createDockerProvider} from '#sandbox/docker/docker.ts';
import {imageName, programIn} from '#sandbox/docker/image.ts';
import {encodeFrame} from '#sandbox/frames.ts';
import type {SandboxProvider} from '#sandbox/sandbox.ts';
import {type Bench, type Figure, figure, inTurn, report, timed} from './harness.ts';
import {leaks} from './leaks.ts';
import {atOnce, oneByOne} from './pool-load.ts';

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
		if (availability.kind !== 'available') {
			console.error(`${runtime}: ${availability.reason}`);
			continue;
		}
		const place = {host, image, runtime};
		figures.push(...(await measure(bench, provider, place)));
		if (bench.long && runtime === 'runc' && !process.env.DOCKER_HOST)
			figures.push(...(await leftBehind(provider, place, 10_000)));
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
	const name = (what: string) => `docker with ${place.runtime}, ${what}`;
	// A pool closes its provider, and this one is needed again.
	const load = {
		name: `docker with ${place.runtime}`,
		open: () => ({...provider, close: async () => {}}),
		work: {spec, request: count},
	};
	const warm = await oneByOne({
		...load,
		runs: quick ? 8 : place.runtime === 'runc' ? 1_000 : 200,
		cold,
		atMost: {p50: 40, p95: 150},
	});
	const bursts = await atOnce({...load, ...(quick ? {runs: 16, rounds: 1} : {runs: 200, rounds: 1})});
	return [
		figure({
			...{name: name('cold: start to answer and nothing left (baseline: docker run --rm)'), unit: 'ms'},
			...{samples: cold, baseline: plain, target: {of: 'ratio', atMost: 1.15}},
		}),
		figure({name: name('kill: time limit to nothing left'), unit: 'ms', samples: killed}),
		...warm,
		...bursts,
	];
}

/** What many runs leave at the engine whose files are in `dir`. */
async function leftBehind(provider: SandboxProvider, {host, runtime}: Place, runs: number): Promise<Figure[]> {
	const dir = path.dirname(host.slice('unix://'.length));
	const command = (pid: string) => {
		try {
			return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
		} catch {
			return ''; // it ended while we looked
		}
	};
	const engine = readFileSync(path.join(dir, 'pid'), 'utf8').trim();
	return leaks({
		...{name: `docker with ${runtime}`, runs, lanes: 4},
		async run() {
			const sandbox = await provider.open({...spec, runner: 'python'}, {warm: false, signal});
			await sandbox.run(permit, {kind: 'python', views: [], code: 'answer(1)', maxRows: 10, maxBytes: 10_000}, signal);
			await sandbox.ended;
		},
		traces: () => ({
			containers: execFileSync('docker', ['-H', host, 'ps', '-aq'], {encoding: 'utf8'}).split('\n').length,
			processes: readdirSync('/proc').filter((pid) => command(pid).includes(`${dir}/`)).length,
			mounts: readFileSync('/proc/self/mounts', 'utf8').split(`${dir}/`).length,
			'control groups': globSync(`/sys/fs/cgroup/**/${path.basename(dir)}/*`).length,
			descriptors: readdirSync('/proc/self/fd').length + readdirSync(`/proc/${engine}/fd`).length,
			files: [...readdirSync(path.join(dir, 'data/containers')), ...readdirSync(path.join(dir, 'exec'), {recursive: true})]
				.length,
		}),
		memory: () => 0,
	});
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

function startEngine({after}: Bench): string {
	const script = path.join(root, 'scripts/docker.sh');
	const output = execFileSync(script, ['start'], {encoding: 'utf8'});
	const [, host = ''] = /^DOCKER_HOST=(.*)$/m.exec(output) ?? [];
	const [, directory = ''] = /^DOCKERDIR=(.*)$/m.exec(output) ?? [];
	after(() => void execFileSync(script, ['stop', directory]));
	return host;
}
