/** Writ's own sandboxes, without the platform around them: what is compared is isolation, not government. */
import {setTimeout as delay} from 'node:timers/promises';
import {WritError} from '#contract/errors.ts';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import type {SandboxResult} from '#kernel/tool.ts';
import {createDockerProvider} from '#sandbox/docker/docker.ts';
import {createPool} from '#sandbox/pool.ts';
import {createProcessProvider} from '#sandbox/process/process.ts';
import {createRuntime} from '#sandbox/runtime.ts';
import type {Sandbox, SandboxProvider} from '#sandbox/sandbox.ts';
import {createWasmProvider} from '#sandbox/wasm/wasm.ts';
import {type Contender, type Ending, type Language, MIB, type Place, ROOT, type Runner} from './contender.ts';

const signal = new AbortController().signal;
const permit = mintPermit({id: 'compare', runId: 'run_c', actionId: 'act_c', tool: 'compare', tenant: 'compare', binding: ''});
const TENANT = 'compare';
const nodePath = process.execPath;
const pythonPath = `${ROOT}/.writ/python/bin/python3`;
const host = process.env.DOCKER_HOST ?? null;

type Described = {
	readonly name: string;
	readonly languages: readonly Language[];
	readonly coldIn: readonly Language[];
	readonly configuration: string;
	create(): SandboxProvider;
};

const PROVIDERS: readonly Described[] = [
	{
		name: 'Writ process',
		languages: ['python', 'javascript'],
		coldIn: ['python', 'javascript'],
		configuration:
			'the `process` provider as it comes: bubblewrap with every namespace, a system call filter, control groups; Python forked from an interpreter that has imported pandas',
		create: () => createProcessProvider({runtime: createRuntime({root: ROOT, nodePath, pythonPath})}),
	},
	{
		name: 'Writ wasm',
		languages: ['python'],
		coldIn: [],
		configuration: 'the `wasm` provider as it comes: Pyodide in a Node process under the permission model; no pandas',
		create: () => createWasmProvider({root: ROOT, nodePath}),
	},
	...(['runc', 'runsc'] as const).map((runtime) => ({
		name: runtime === 'runc' ? 'Writ docker' : 'Writ docker + runsc',
		languages: runtime === 'runc' ? (['python', 'javascript'] as const) : (['python'] as const),
		coldIn: runtime === 'runc' ? (['python'] as const) : [],
		configuration: `the \`docker\` provider as it comes, runtime \`${runtime}\`: read-only root, no capabilities, a system call filter, all limits`,
		create: () => createDockerProvider({root: ROOT, host, image: null, runtime}),
	})),
];

export const WRIT: readonly Contender[] = PROVIDERS.map(({create, ...told}) => ({
	...told,
	async describe() {
		const provider = create();
		try {
			const {availability, versions} = await provider.facts();
			if (availability.kind === 'unavailable') throw new Error(availability.reason);
			return [...Object.entries(versions), ...Object.entries(await provider.runners())].map((each) => each.join(' ')).join(', ');
		} finally {
			await provider.close();
		}
	},
	open: async (place, language) => openRunner(create(), place, language),
	idle: async (language) => openIdle(create(), language),
}));

/** As many wait as run at once, and one more of each is being made ready. */
const WAITING = 2;

async function openRunner(provider: SandboxProvider, place: Place, language: Language): Promise<Runner> {
	const spec = specFor(language, place);
	const pool = createPool({provider, size: WAITING, perSpec: WAITING, concurrency: WAITING, queue: 1_000});
	const state: {last: Sandbox | undefined} = {last: undefined};
	await pool.warm([{spec, tenant: TENANT}]);
	return {
		facts: {DATA: '/data', SCRATCH: '/tmp'},
		warm: (code) => endingOf(() => pool.run(permit, {spec, request: requestFor(language, code)}, signal)),
		cold: (code) =>
			endingOf(async () => {
				state.last = await provider.open(spec, {warm: false, signal});
				return state.last.run(permit, requestFor(language, code), signal);
			}),
		async rested() {
			await state.last?.ended;
			for (let waited = 0; pool.stats().idle < WAITING; waited += 5) {
				if (waited > REST_LIMIT_MS) throw new Error(`the pool did not fill up: ${pool.stats().failing?.reason}`);
				await delay(5);
			}
		},
		close: () => pool.close(),
	};
}

const REST_LIMIT_MS = 60_000;

async function endingOf(run: () => Promise<SandboxResult>): Promise<Ending> {
	try {
		const {frames} = await run();
		const last = frames.at(-1);
		const output = JSON.stringify(frames);
		return last?.type === 'error' ? {outcome: 'failed', code: last.code, output} : {outcome: 'succeeded', code: '', output};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		return {outcome: 'failed', code: error.code, output: JSON.stringify(error)};
	}
}

async function openIdle(provider: SandboxProvider, language: Language) {
	const spec = specFor(language, {data: '/usr/share', wallMs: 10_000});
	const more = async () => void (await provider.open(spec, {warm: true, signal}));
	await more();
	return {more, close: () => provider.close()};
}

/** The limits of the attack battery. */
function specFor(runner: Language, {data, wallMs}: Pick<Place, 'data' | 'wallMs'>): SandboxSpec {
	const sizes = {memoryBytes: 512 * MIB, scratchBytes: 64 * MIB, outputBytes: 8 * MIB};
	const limits = {...sizes, wallMs, cpus: 1, processes: 32, openFiles: 256};
	return {runner, mounts: [{source: data, target: '/data'}], network: 'none', limits};
}

function requestFor(language: Language, code: string): RunnerRequest {
	if (language === 'javascript') return {kind: 'javascript', code, tools: false, maxBytes: MIB};
	return {kind: 'python', views: [], code, maxRows: 1_000, maxBytes: MIB};
}
