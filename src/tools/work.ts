import {randomUUID} from 'node:crypto';
import {mkdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import type {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {Verdict} from '#contract/event.ts';
import type {Frame, HostInjection, RunnerRequest, SandboxLimits, SandboxSpec} from '#contract/sandbox.ts';
import type {Tool, World} from '#kernel/tool.ts';
import {type ArtifactCaps, type Collected, collectArtifacts, type collectedSchema} from '#sandbox/artifacts.ts';
import {bytesOnDisk} from '#sandbox/bytes-on-disk.ts';
import {toError} from '#sandbox/runner-error.ts';
import {type FileStore, type Files, rehash} from './files.ts';

/** What every tool of the room works with. */
export type Working = {
	readonly files: FileStore;
	/** where a run's own directories are while it lasts */
	readonly directory: string;
	readonly limits: SandboxLimits;
	readonly maxRows: number;
	readonly maxBytes: number;
	readonly caps: ArtifactCaps;
	/** secrets that requests of code get on their way out; an approver is told of them */
	readonly injections?: readonly HostInjection[];
};

/** What all of them have in common: they change nothing outside the sandbox, and return what nobody vouches for. */
export function working({limits, maxRows, maxBytes}: Working) {
	return {
		effect: 'read',
		risk: 'medium',
		idempotent: true,
		labels: ['untrusted'],
		limits: {wallMs: limits.wallMs, maxRows, maxBytes},
		resource: () => ({type: 'Run', id: '*'}),
	} as const satisfies Partial<Tool>;
}

type Job = {
	readonly files: Files;
	/** whether what it leaves in `/out` is collected */
	readonly artifacts: boolean;
	readonly request: RunnerRequest;
	readonly spec: Pick<SandboxSpec, 'runner' | 'framework'> & Partial<Pick<SandboxSpec, 'network'>>;
};

export type Worked = {
	readonly frames: readonly Frame[];
	readonly done: Extract<Frame, {type: 'done'}>;
	readonly collected: Collected;
	readonly execTimeMs: number;
};

/** Runs one request over files mounted at `/in`, and collects what it left in `/out`. Throws the error that the code inside ended with. */
export async function work(job: Job, world: World, {files, directory, limits, caps}: Working): Promise<Worked> {
	const {tenant} = world.principal;
	const own = join(directory, randomUUID());
	const [input, output] = [join(own, 'in'), join(own, 'out')];
	await mkdir(own, {mode: 0o700});
	try {
		for (const each of [input, output]) await mkdir(each, {mode: 0o755});
		await files.stage(tenant, job.files, input);
		const spec: SandboxSpec = {
			network: 'none',
			...job.spec,
			mounts: job.files.length > 0 ? [{source: input, target: '/in'}] : [],
			...(job.artifacts ? {output} : {}),
			limits,
		};
		const {frames, usage} = await world.sandbox(spec, job.request);
		const last = frames.at(-1);
		if (last?.type === 'error') throw toError(last);
		if (last?.type !== 'done') throw new WritError('runner_internal_error', 'the sandbox ended without a result');
		const collected = job.artifacts ? await keepArtifacts(output, tenant, {files, caps}) : NOTHING;
		return {frames, done: last, collected, execTimeMs: Math.round(usage.wallMs * 10) / 10};
	} finally {
		await rm(own, {recursive: true, force: true});
	}
}

/** Room is reserved for what lies there, within the caps, before a byte of it is kept; what a crash left is counted from disk. */
async function keepArtifacts(output: string, tenant: string, {files, caps}: Pick<Working, 'files' | 'caps'>): Promise<Collected> {
	const totalBytes = Math.min(caps.totalBytes, await bytesOnDisk(output));
	await using holding = await files.hold(tenant, totalBytes);
	const kept = {bytes: 0};
	try {
		return await collectArtifacts(output, await files.place(tenant), {
			...caps,
			totalBytes,
			onNew: (bytes) => {
				kept.bytes += bytes;
			},
		});
	} finally {
		await holding.settle(kept.bytes);
	}
}

const NOTHING: Collected = {artifacts: [], refused: [], unnamed: 0};

type Left = z.infer<typeof collectedSchema>;

/** Checks that each artifact is kept and is what its hash says. */
export async function checkArtifacts({artifacts}: Left, world: World, {files}: Working): Promise<Verdict['checks'][number]> {
	const kept = await Promise.all(artifacts.map(({sha256}) => rehash(files, world.principal.tenant, sha256)));
	const bad = artifacts.filter(({sha256}, index) => kept[index] !== sha256);
	return {
		name: 'artifacts',
		passed: bad.length === 0,
		detail:
			bad.length === 0
				? `${artifacts.length} files, each with the hash it is kept under`
				: `\`${bad[0]?.name}\` is not what was collected`,
	};
}

export function verdictOf(checks: Verdict['checks']): Verdict {
	return {kind: checks.every(({passed}) => passed) ? 'verified' : 'unverified', checks};
}
