/** Node's own worker threads: a language runtime that is asked to be a boundary. */
import {fileURLToPath} from 'node:url';
import {Worker} from 'node:worker_threads';
import {BEGUN, type Contender, type Ending, type Place, runCommand} from './contender.ts';

/** All that its documentation offers to hold a thread back. */
const OPTIONS = {
	...{env: {}, argv: [], execArgv: [], stdin: false, stdout: true, stderr: true, trackUnmanagedFds: true},
	resourceLimits: {maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 32, codeRangeSizeMb: 16, stackSizeMb: 4},
};

export const WORKER_THREADS: Contender = {
	name: 'worker_threads',
	languages: ['javascript'],
	coldIn: ['javascript'],
	configuration:
		'a `Worker` with an empty environment and `resourceLimits` (192 MiB of old generation), ended by `terminate()` when its time is over; the process around it runs as an ordinary user',
	async describe() {
		return `Node ${process.versions.node}`;
	},
	open: async (place) => ({
		facts: {DATA: place.data, SCRATCH: place.scratch},
		cold: (code) => (place.bound ? inProcessOfItsOwn(code, place) : inWorker(code, place.wallMs)),
		async rested() {},
		async close() {},
	}),
};

/** What a module prints is its answer. */
export function inWorker(code: string, wallMs: number): Promise<Ending> {
	const {promise, resolve} = Promise.withResolvers<Ending>();
	const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), OPTIONS);
	const state = {output: ''};
	const end = (ending: Omit<Ending, 'output'>) => resolve({...ending, output: state.output});
	const timer = setTimeout(() => {
		end({outcome: 'failed', code: 'runner_timeout'});
		void worker.terminate();
	}, wallMs);
	for (const stream of [worker.stdout, worker.stderr])
		stream.on('data', (chunk: Buffer) => (state.output += chunk.toString('latin1')));
	worker.once('error', (error) => {
		const isLimit = (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';
		state.output += String(error);
		end({outcome: 'failed', code: isLimit ? 'runner_resource_exceeded' : 'javascript_execution_error'});
	});
	worker.once('exit', (code) => {
		clearTimeout(timer);
		if (code === 0) end({outcome: 'succeeded', code: ''});
		else end({outcome: 'failed', code: 'javascript_execution_error'});
	});
	return promise;
}

/** An attack may end the process that its worker is part of. In a product that is the platform. */
async function inProcessOfItsOwn(code: string, place: Place): Promise<Ending> {
	const host = fileURLToPath(import.meta.resolve('./worker-host.ts'));
	const input = JSON.stringify({code, wallMs: place.wallMs});
	const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('WRIT_ATTACK')));
	const command = [process.execPath, '--no-warnings', host] as const;
	const whole = await runCommand({
		command,
		input,
		env: env as Record<string, string>,
		place: {...place, wallMs: place.wallMs + GRACE_MS},
	});
	const line = whole.output.split('\n').findLast((each) => each.startsWith('{"outcome"'));
	const began = whole.output.includes(BEGUN) ? `${BEGUN}\n` : '';
	if (line !== undefined && whole.outcome === 'succeeded') {
		const ending = JSON.parse(line) as Ending;
		return {...ending, output: began + ending.output};
	}
	return {
		...whole,
		outcome: 'failed',
		code: whole.code.startsWith('only the bound') ? whole.code : 'the process around it ended',
	};
}

const GRACE_MS = 1_000;
