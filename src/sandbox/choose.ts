/** Which provider isolates runs: the one that was asked for, or the strongest that works here; and that no run gets less than it needs. */
import {WritError} from '#contract/errors.ts';
import {LEVELS, type Level, type SandboxSpec} from '#contract/sandbox.ts';
import {isAtLeast, strongerOf} from '#kernel/level.ts';
import type {OpenOptions, ProviderFacts, Sandbox, SandboxProvider} from './sandbox.ts';

/** A provider that could be built. `best` is the most it can give on any machine; building is cheap, and imports what it needs. */
export type Candidate = {
	readonly name: SandboxProvider['name'];
	readonly best: Level;
	create(): Promise<SandboxProvider>;
};

/** `facts` are what it was chosen for; `why` is a sentence for the person who runs the server. */
export type Choice = {readonly provider: SandboxProvider; readonly facts: ProviderFacts; readonly why: string};

/**
 * Asks the candidates, which come in order of preference, what they are here and takes the first of the strongest level. When none
 * works it takes the last, whose runs will say what is missing: a server without a sandbox still starts.
 */
export async function chooseStrongest(candidates: readonly Candidate[]): Promise<Choice> {
	const found: {provider: SandboxProvider; facts: ProviderFacts}[] = [];
	for (const {best, create} of candidates) {
		// Whoever cannot beat what was found need not be asked.
		if (found.some(({facts}) => isAvailable(facts) && isAtLeast(facts.level, best))) continue;
		const provider = await create();
		found.push({provider, facts: await provider.facts()});
	}
	const working = found.filter(({facts}) => isAvailable(facts));
	const [best] = working.toSorted((a, b) => LEVELS.indexOf(b.facts.level) - LEVELS.indexOf(a.facts.level));
	const strongest = best ?? found.at(-1);
	if (!strongest) throw new Error('there is no candidate');
	await Promise.all(found.filter((each) => each !== strongest).map(({provider}) => provider.close()));
	const reasons = found.filter((each) => each !== strongest).map(({facts}) => `${facts.name}: ${reasonAgainst(facts)}`);
	const {name, level} = strongest.facts;
	const verdict = best
		? `${name} (${level}) is the strongest that works here`
		: `none works here: ${name}: ${reasonAgainst(strongest.facts)}`;
	return {...strongest, why: [verdict, ...reasons].join('; ')};
}

function reasonAgainst({availability, level}: ProviderFacts): string {
	return availability.kind === 'unavailable' ? availability.reason : `works, ${level}`;
}

function isAvailable({availability}: ProviderFacts): boolean {
	return availability.kind === 'available';
}

/** For how long what was found at the start is true without a look. */
const FRESH_MS = 5_000;

export type DemandingProvider = SandboxProvider & {
	/** what a run would get now; `none` while the provider does not work */
	level(): Promise<Level>;
};

/**
 * The provider, with what a run demands checked before its sandbox is opened, before it is handed out, and before its result is let
 * out: the runner, a way to the network, and the greater of `minLevel` and the spec's own level. What is not there is refused, never
 * replaced. What it was `chosenFor` is not looked for again at once: whoever waits for a server to start asks it as soon as it listens.
 */
export function withDemands(provider: SandboxProvider, minLevel: Level, chosenFor?: ProviderFacts): DemandingProvider {
	const available = chosenFor && isAvailable(chosenFor) ? chosenFor : undefined;
	const state: {known: Promise<ProviderFacts> | undefined} = {known: available && Promise.resolve(available)};
	const freshUntil = performance.now() + FRESH_MS;
	const forget = () => {
		state.known = undefined;
	};
	const facts = async () => {
		state.known ??= provider.facts();
		const found = await state.known.catch((error) => {
			forget();
			throw error;
		});
		if (!isAvailable(found)) forget(); // what is missing may come
		return found;
	};
	const open = async (spec: SandboxSpec, options: OpenOptions, demanded: Level): Promise<Sandbox> => {
		const found = await facts();
		assertMeets(found, spec, demanded);
		const sandbox = await provider.open(spec, options);
		if (sandbox.level !== found.level) forget(); // the engine behind it is not the one that was asked
		if (isAtLeast(sandbox.level, demanded)) return checked(sandbox, demanded, forget);
		await sandbox.dispose();
		throw tooWeak(found.name, sandbox.level, demanded);
	};
	return {
		...provider,
		facts: async (how) => (available && !how && performance.now() < freshUntil ? available : provider.facts(how)),
		async level() {
			const found = await facts();
			return isAvailable(found) ? found.level : 'none';
		},
		async open(spec, options) {
			try {
				return await open(spec, options, strongerOf(minLevel, spec.level ?? 'none'));
			} catch (error) {
				if (!options.signal.aborted) forget();
				throw error;
			}
		},
	};
}

function assertMeets(found: ProviderFacts, {runner, network}: SandboxSpec, demanded: Level): void {
	const {name, level, runs, egress, availability} = found;
	if (availability.kind === 'unavailable')
		throw new WritError('sandbox_unavailable', `the ${name} sandbox does not work here: ${availability.reason}`, {
			hint: availability.hint,
		});
	if (!runs.includes(runner))
		throw new WritError('sandbox_unavailable', `the ${name} sandbox cannot run ${runner}, only ${runs.join(', ')}`, {
			hint: 'set SANDBOX_PROVIDER to one that can; `writ doctor` lists what each runs',
			details: {runner},
		});
	if (network !== 'none' && !egress)
		throw new WritError('sandbox_unavailable', `the ${name} sandbox has no way out to a network`, {
			hint: 'set SANDBOX_PROVIDER to one with an egress proxy; `writ doctor` says which',
		});
	if (!isAtLeast(level, demanded)) throw tooWeak(name, level, demanded);
}

function tooWeak(name: string, level: Level, demanded: Level): WritError {
	return new WritError('policy_denied', `this run must be ${demanded}; the ${name} sandbox here is ${level}`, {
		hint: 'set SANDBOX_PROVIDER to a stronger one that works here (see `writ doctor`), or lower what `tools` of policy.yaml or WRIT_SANDBOX_LEVEL demands',
		details: {demanded, level},
	});
}

/** The engine behind a provider can change while a sandbox waits: its result says what it really was. */
function checked(sandbox: Sandbox, demanded: Level, onDifference: () => void): Sandbox {
	return {
		level: sandbox.level,
		ended: sandbox.ended,
		dispose: () => sandbox.dispose(),
		async run(permit, request, signal, answerCall) {
			const result = await sandbox.run(permit, request, signal, answerCall);
			const {level, provider} = result.isolation;
			if (level !== sandbox.level) onDifference();
			if (!isAtLeast(level, demanded)) throw tooWeak(provider, level, demanded);
			return result;
		},
	};
}
