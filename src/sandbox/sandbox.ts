/**
 * Where computation happens. A provider builds sandboxes; a sandbox runs one request under one permit and is gone. Nothing of the
 * platform runs inside, nothing that ran inside is trusted, and no result leaves but by the frames of contract/sandbox.ts.
 */
import type {Isolation, Level, RunnerName, RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import type {Permit} from '#kernel/permit.ts';
import type {AnswerCall, SandboxResult} from '#kernel/tool.ts';

/** What a provider would enforce here and now. The limits of a run's own `isolation` are what it did enforce. */
export type ProviderFacts = {
	readonly name: Isolation['provider'];
	readonly level: Isolation['level'];
	readonly namespaces: readonly string[];
	readonly seccomp: boolean;
	/** what can run inside */
	readonly runs: readonly RunnerName[];
	/** true when it can open a way out through the egress proxy */
	readonly egress: boolean;
	readonly limits: Isolation['limits'];
	readonly versions: Readonly<Record<string, string>>;
	/** what holds less here than it could, each with the reason */
	readonly weaknesses: readonly string[];
	readonly availability:
		| {readonly kind: 'available'}
		| {readonly kind: 'unavailable'; readonly reason: string; readonly hint: string};
};

export type OpenOptions = {
	/** the sandbox will wait in a pool: its result says `warm` */
	readonly warm: boolean;
	/** gives up starting; a sandbox that is open is ended by `dispose` */
	readonly signal: AbortSignal;
};

export type SandboxProvider = {
	readonly name: Isolation['provider'];
	/** `thorough` also tries what takes a second to start, for weaknesses that only show then. */
	facts(how?: {readonly thorough: boolean}): Promise<ProviderFacts>;
	/** Versions of what would run inside, by name; starts each to ask it. */
	runners(): Promise<Readonly<Record<string, string>>>;
	/** Resolves when the runner inside is ready. Throws `sandbox_unavailable`, `runner_internal_error`, `runner_timeout` or `cancelled`. */
	open(spec: SandboxSpec, options: OpenOptions): Promise<Sandbox>;
	/** Ends every sandbox that is still open and leaves nothing behind. */
	close(): Promise<void>;
};

export type Sandbox = {
	/** what it is, whatever its provider was when it was asked */
	readonly level: Level;
	/** Settles when the sandbox has ended, for whatever reason, and all of it has been removed. */
	readonly ended: Promise<void>;
	/**
	 * Runs `request`. Once only: a second call throws. The sandbox ends with the call. Tools that the code inside calls are answered by
	 * `answerCall`; without it a call breaks the protocol.
	 * Throws `runner_timeout`, `runner_resource_exceeded`, `runner_internal_error` or `cancelled`.
	 */
	run(permit: Permit, request: RunnerRequest, signal: AbortSignal, answerCall?: AnswerCall): Promise<SandboxResult>;
	/** Ends the sandbox. Resolves when no process, mount or control group of it is left. */
	dispose(): Promise<void>;
};
