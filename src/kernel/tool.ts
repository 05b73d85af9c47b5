import type {z} from 'zod';
import type {Effect, Label, Principal, Risk, Verdict} from '#contract/event.ts';
import type {ActionLimits} from '#contract/limits.ts';
import type {CallReply, Frame, Isolation, RunnerRequest, SandboxSpec, Usage} from '#contract/sandbox.ts';
import type {Permit} from './permit.ts';

/** What came out of a sandbox. Errors of the code inside are `error` frames; a broken or stopped sandbox is a thrown `WritError`. */
export type SandboxResult = {readonly frames: readonly Frame[]; readonly usage: Usage; readonly isolation: Isolation};

/** A clock that can stand still. What throws has not been paused; what was to be waited for goes on when `resume` has resolved. */
export type Stopwatch = {pause(): void; resume(): void | Promise<void>};

/**
 * Answers a tool call of the code inside a sandbox: as a proposal of its own, through every gate. Asked for one call at a time. `clock`
 * is the sandbox's: it stands still while a person is awaited. Throws only for what no code that keeps to the protocol does, or when
 * the record cannot be written; never for a refusal.
 */
export type AnswerCall = (call: Extract<Frame, {type: 'call'}>, clock: Stopwatch) => Promise<CallReply>;

/** All a tool may touch. There are no globals and no environment behind it. */
export type World = {
	readonly permit: Permit;
	readonly principal: Principal;
	/** what the run was opened for, where this action is the run's own; null where code in a sandbox called for it */
	readonly mode: string | null;
	/** the tool's fingerprint that was decided on; null where it makes none */
	readonly target: string | null;
	readonly limits: ActionLimits;
	readonly signal: AbortSignal;
	/**
	 * Runs `request` in a fresh or warm sandbox under this action's permit; the facts join the action's evidence. Where the request says
	 * `tools`, the code inside may call any tool: each call is a proposal of its own, part of this run.
	 */
	sandbox(spec: SandboxSpec, request: RunnerRequest): Promise<SandboxResult>;
	/** Tells watchers what is happening; not recorded. */
	progress(stage: string): void;
};

/** A typed capability. One file defines one tool. */
export type Tool<Input = never, Output = unknown> = {
	/** dotted and stable, e.g. `analyst.sql` */
	readonly name: string;
	/** changes when the meaning of an input changes; bound into approvals */
	readonly version: string;
	readonly title: string;
	readonly description: string;
	readonly input: z.ZodType<Input>;
	readonly output: z.ZodType<Output>;
	readonly effect: Effect;
	readonly risk: Risk | ((input: Input) => Risk);
	/** true when running twice is the same as running once */
	readonly idempotent: boolean;
	/** labels of what it returns */
	readonly labels: readonly Label[];
	/** paths of what it returns that no stranger wrote, although it is labelled `untrusted`: ids, times, amounts booked; `mails.*.id` */
	readonly vouches?: readonly string[];
	readonly limits: ActionLimits;
	/** true when a `read` carries data out of the platform: a file to download, a request to another system */
	readonly egress?: boolean;
	/** labels of data that may reach it; without it only the rules of the policy say what may */
	readonly accepts?: readonly string[];
	/** hosts that code in a sandbox could reach by this input; without it none */
	destinations?(input: Input): readonly string[];
	/** the thing acted on, for policy: e.g. `{type: 'Dataset', id: 'support'}` */
	resource(input: Input): {readonly type: string; readonly id: string};
	/** state of the target, bound into the approval: a changed target needs a new approval */
	fingerprint?(input: Input, principal: Principal, pass: Pick<World, 'mode' | 'signal'>): Promise<string>;
	/** what an approver reads; default is the input as JSON. `target` is the fingerprint that the answer binds */
	preview?(input: Input, target: string | null): string;
	run(input: Input, world: World): Promise<Output>;
	/** the post-condition, checked against the world and the output */
	verify?(input: Input, output: Output, world: World): Promise<Verdict>;
	undo?(input: Input, output: Output, world: World): Promise<void>;
};

/** A tool whose input type is known only to itself, as registries hold it. */
// biome-ignore lint/suspicious/noExplicitAny: a registry of tools is the one place where input types are existential
export type AnyTool = Tool<any, any>;
