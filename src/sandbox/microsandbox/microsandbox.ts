/** The `microsandbox` provider: a virtual machine with a kernel of its own for each run, booted by the `msb` of this machine. */
import {randomUUID} from 'node:crypto';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {Isolation, RunnerName, SandboxSpec} from '#contract/sandbox.ts';
import {cancelled, notStarted} from '../endings.ts';
import {replacedAfter} from '../expiring.ts';
import {createOpenSandboxes} from '../open-sandboxes.ts';
import {reclaim} from '../output.ts';
import {isAlive, readIdentity} from '../process-identity.ts';
import type {OpenOptions, ProviderFacts, Sandbox, SandboxProvider} from '../sandbox.ts';
import {type StartedRunner, supervise} from '../supervise.ts';
import {
	callMsb,
	createArguments,
	execArguments,
	findMsb,
	type Guest,
	type GuestProgram,
	kvmTrouble,
	type Msb,
	removeArguments,
	spawnMsb,
} from './cli.ts';

export type MicrosandboxProviderOptions = {
	/** the program, and arguments before ours; by default where its installers put `msb` */
	readonly msb?: Msb | undefined;
	readonly cliPath?: string | undefined;
	/** a local image or root directory; none is ever pulled */
	readonly image: () => string;
	readonly program: (spec: SandboxSpec) => GuestProgram | Promise<GuestProgram>;
	readonly runs: readonly RunnerName[];
	/** a guest that waits longer for its run is replaced */
	readonly warmLimitMs?: number;
};

type Settings = Required<Omit<MicrosandboxProviderOptions, 'cliPath'>> & {readonly msb: Msb};

const LIFETIME_SPARE_MS = 120_000;

export function createMicrosandboxProvider({cliPath, ...options}: MicrosandboxProviderOptions): SandboxProvider {
	const settings: Settings = {warmLimitMs: 3_600_000, ...options, msb: options.msb ?? findMsb(cliPath)};
	const state: {swept: Promise<void> | undefined} = {swept: undefined};
	const sandboxes = createOpenSandboxes();
	const open = async (spec: SandboxSpec, {warm, signal}: OpenOptions) => {
		const either = sandboxes.orClosing(signal);
		if (either.aborted) throw cancelled();
		if (spec.network !== 'none') throw notStarted('a guest has no way out to a network');
		state.swept ??= sweep(settings.msb);
		await state.swept;
		const sandbox = await start(settings, spec, {warm, signal: either});
		sandboxes.add(sandbox);
		return sandbox;
	};
	return {
		name: 'microsandbox',
		open: (spec, options) => sandboxes.track(open(spec, options)),
		facts: () => factsOf(settings),
		runners: async () => ({image: settings.image()}),
		async close() {
			await sandboxes.close().catch(() => {}); // what could not be ended ends with its lifetime
		},
	};
}

async function start(settings: Settings, spec: SandboxSpec, options: OpenOptions): Promise<Sandbox> {
	const {msb, image, warmLimitMs} = settings;
	const waiting = options.warm ? warmLimitMs : 0;
	const lifetimeSeconds = Math.ceil((waiting + spec.limits.wallMs + LIFETIME_SPARE_MS) / 1000);
	const program = await settings.program(spec);
	const guest: Guest = {name: nameOfGuest(), image: image(), spec, program, lifetimeSeconds};
	const remove = () => callMsb(msb, removeArguments(guest.name)).then(() => {});
	try {
		await callMsb(msb, await createArguments(guest), options.signal);
	} catch (error) {
		await remove().catch(() => {}); // it may never have come to be
		throw error;
	}
	const sandbox = await supervise(runnerOf(msb, guest, options.warm, remove), options);
	return options.warm ? replacedAfter(sandbox, warmLimitMs) : sandbox;
}

function runnerOf(msb: Msb, guest: Guest, warm: boolean, remove: () => Promise<void>): StartedRunner {
	const {spec} = guest;
	const child = spawnMsb(msb, execArguments(guest));
	const {promise: exited, resolve, reject} = Promise.withResolvers<Awaited<StartedRunner['exited']>>();
	child.once('error', (cause) => reject(notStarted(cause.message, cause)));
	// Not 'exit': what the runner sent before it died must be read first.
	child.once('close', (code, by) => resolve({code, by, exceeded: []}));
	const ending: {removed: Promise<void> | undefined} = {removed: undefined};
	const removeOnce = () => {
		ending.removed ??= remove();
		return ending.removed;
	};
	return {
		...{spec, exited, isolation: isolationOf(warm)},
		...{requests: child.stdin, frames: child.stdout, stdout: null, stderr: child.stderr},
		kill() {
			child.kill('SIGKILL');
			removeOnce().catch(() => {}); // told by cleanUp
		},
		exceeded: () => [],
		usage: () => ({cpuMs: null, peakMemoryBytes: null}),
		processBytes: () => 0,
		async cleanUp() {
			await removeOnce();
			if (spec.output !== undefined) await reclaim(spec.output, undefined);
		},
	};
}

function isolationOf(warm: boolean): Isolation {
	return {
		provider: 'microsandbox',
		level: 'vm-isolated',
		namespaces: [],
		seccomp: false,
		limits: {
			...{wallMs: 'kill', memoryBytes: 'rlimit', cpus: 'engine', processes: 'rlimit', openFiles: 'rlimit'},
			...{fileBytes: 'rlimit', scratchBytes: 'tmpfs', outputBytes: 'kill'},
		},
		network: 'none',
		warm,
	};
}

/** Whose guest it is can be seen from its name, also after we are gone. */
function nameOfGuest(): string {
	const {pid, startedAt} = ownIdentity() ?? {pid: process.pid, startedAt: 0};
	return `writ-${pid}-${startedAt}-${randomUUID()}`;
}

/** Only Linux tells when a process started; elsewhere a guest that was left behind ends at its own time. */
function ownIdentity() {
	try {
		return readIdentity('self');
	} catch {
		return undefined;
	}
}

const GUEST_NAME = /^writ-(\d+)-(\d+)-[0-9a-f-]{36}$/;
const listSchema = z.array(z.looseObject({name: z.string()}));

/** Removes guests of servers that are gone. */
async function sweep(msb: Msb): Promise<void> {
	if (!ownIdentity()) return;
	const listed = await callMsb(msb, ['list', '--format', 'json']);
	for (const {name} of parseList(listed)) {
		const [, pid, startedAt] = GUEST_NAME.exec(name) ?? [];
		const isOrphan = pid !== undefined && !isAlive({pid: Number(pid), startedAt: Number(startedAt)});
		if (isOrphan) await callMsb(msb, removeArguments(name)).catch(() => {}); // another server was quicker
	}
}

function parseList(text: string): z.infer<typeof listSchema> {
	try {
		return listSchema.parse(JSON.parse(text));
	} catch (cause) {
		throw new WritError('sandbox_unavailable', '`msb list` did not print a list of sandboxes', {cause});
	}
}

/** Asks msb, which looks at the processor, the device and its rights. A guest is not booted: that needs an image. */
async function factsOf({msb, image, runs}: Settings): Promise<ProviderFacts> {
	const {level, namespaces, limits, seccomp} = isolationOf(false);
	const base = {name: 'microsandbox', level, namespaces, seccomp, runs, egress: false, limits} as const;
	const known: {versions: Record<string, string>} = {versions: {}};
	try {
		known.versions = {microsandbox: (await callMsb(msb, ['--version'])).trim().replace('msb ', '')};
		await callMsb(msb, ['doctor']).catch((error) => {
			throw unfit(error);
		});
		if (!isDirectoryName(image())) await callMsb(msb, ['image', 'inspect', '--format', 'json', '--', image()]);
		return {...base, versions: known.versions, weaknesses: WEAKNESSES, availability: {kind: 'available'}};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		const hint = [error.hint, await kvmTrouble()].filter((each) => each !== undefined).join('; ');
		const availability = {kind: 'unavailable', reason: error.message, hint} as const;
		return {...base, ...known, weaknesses: [], availability};
	}
}

/** As msb itself tells a directory from the name of an image. */
function isDirectoryName(image: string): boolean {
	return /^\.{0,2}\//.test(image);
}

/** `msb doctor` puts what is wrong on a line with `error:`, and what to do on those with an arrow that follow. */
function unfit(error: unknown): unknown {
	const said = error instanceof WritError ? String((error.cause as {stderr?: unknown} | undefined)?.stderr ?? '') : '';
	const [, problem, rest = ''] = /^error: (.*)\n?([\s\S]*)$/m.exec(said) ?? [];
	if (problem === undefined) return error;
	const advice = rest.split('\n').flatMap((line) => /^\s*→ (.*)$/.exec(line)?.[1] ?? []);
	return new WritError('sandbox_unavailable', `msb doctor: ${problem}`, {
		hint: advice.join('; ') || 'run `msb doctor`',
		cause: error,
	});
}

const WEAKNESSES = [
	'tested against a double of msb 0.6.18 only, whose arguments the real one accepts; no guest has booted yet',
	'memory is limited for each process, and for all together only by the size of the guest',
	'no system call filter of ours inside: the guest has a kernel of its own',
];
