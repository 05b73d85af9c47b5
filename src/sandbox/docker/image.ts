/** The image that runners start in: how it is called, and what of it is where. `scripts/docker.sh image` builds it. */
import {createHash} from 'node:crypto';
import {globSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {WritError} from '#contract/errors.ts';
import type {RunnerName, SandboxSpec, TestFramework} from '#contract/sandbox.ts';
import {CACHE_MOUNT} from '../compile-cache.ts';
import {type Mount, type Program, startRunner} from '../runtime.ts';

const REPOSITORY = 'writ-runner';
const INPUTS = [
	...['images/runner/packages', 'images/runner/rootfs.sh', 'scripts/runner-image.ts', 'src/sandbox/runners/**/*'],
	...['.writ/python/writ-packages', 'node_modules/@duckdb/*/package.json'],
];

/** A change of anything that goes into the image is another name, so an image that has the name is the right one. */
export function imageName(root: string): string {
	const hash = createHash('sha256').update(process.arch);
	const files = globSync(INPUTS, {cwd: root, withFileTypes: true, exclude: ['**/*.test.ts', '**/__pycache__']}).filter((entry) =>
		entry.isFile(),
	);
	for (const path of files.map((file) => join(file.parentPath, file.name)).toSorted())
		hash.update(`\0${path.slice(root.length)}\0`).update(readFileSync(path));
	return `${REPOSITORY}:${hash.digest('hex').slice(0, 20)}`;
}

/** What can run inside, given what the image says of itself. */
export function runnersIn(labels: Readonly<Record<string, string>>): RunnerName[] {
	const named = labels[RUNNERS_LABEL]?.split(' ') ?? [];
	return ALL.filter((name) => named.includes(name));
}

const RUNNERS_LABEL = 'dev.writ.runners';
const ALL: readonly RunnerName[] = ['sql', 'python', 'ingest', 'javascript', 'shell', 'tests'];

/** `root` is where the packages are that a test framework needs: they are too many for the image. */
export function programIn(root: string, spec: SandboxSpec): Pick<Program, 'command' | 'mounts' | 'environment'> {
	const {command, environment} = startRunner(spec, PYTHON);
	const {mounts, argument} = spec.runner === 'tests' ? equip(root, spec.framework ?? 'node') : {mounts: []};
	return {
		command: [...command, ...(argument === undefined ? [] : [argument])],
		mounts,
		environment: {...environment, NODE_COMPILE_CACHE: CACHE_MOUNT},
	};
}

const PYTHON = '/usr/bin/python3';

function equip(root: string, framework: TestFramework): {readonly mounts: readonly Mount[]; readonly argument?: string} {
	if (framework === 'pytest') return {mounts: [], argument: PYTHON};
	if (framework === 'vitest') return {mounts: [{source: join(root, 'node_modules'), target: '/node_modules'}]};
	if (framework === 'node') return {mounts: []};
	throw new WritError('sandbox_unavailable', 'the image of the runners has no Chromium for Playwright', {
		hint: 'set SANDBOX_PROVIDER=process for tests in a browser',
	});
}
