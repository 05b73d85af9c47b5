/** What `scripts/docker.sh` needs to know of the runner image: `name` prints what it is called, `prepare` the script that finishes it inside. */
import {existsSync} from 'node:fs';
import path from 'node:path';
import type {RunnerName} from '#contract/sandbox.ts';
import {imageName, programIn} from '#sandbox/docker/image.ts';

const root = path.join(import.meta.dirname, '..');
const MIB = 2 ** 20;
const limits = {
	...{wallMs: 60_000, memoryBytes: 512 * MIB, cpus: 1, processes: 64, openFiles: 256},
	...{scratchBytes: 64 * MIB, outputBytes: MIB},
};

/** A Node runner that is given nothing to do ends, and leaves the code it compiled. */
function fill(runner: RunnerName): string {
	const {command, environment} = programIn(root, {runner, mounts: [], network: 'none', limits});
	const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
	return ['env', ...variables, ...command].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
}

const inNode: readonly RunnerName[] = ['sql', 'ingest', 'javascript', 'shell', 'tests'];
const runners = inNode.filter((name) => existsSync(path.join(root, 'src/sandbox/runners', `${name}.ts`)));

const prepare = [
	'set -e',
	...runners.map((runner) => `(${fill(runner)}) </dev/null >/dev/null 3>/dev/null`),
	'chmod -R a+rX /runtime/cache',
	`if python3 -c 'import pandas, pyarrow' 2>/dev/null; then echo ${runners.join(' ')} python; else echo ${runners.join(' ')}; fi`,
].join('\n');

console.log(process.argv[2] === 'prepare' ? prepare : imageName(root));
