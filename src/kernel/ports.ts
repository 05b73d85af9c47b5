/**
 * What the kernel needs from the rest. Adapters implement these; nothing here knows them.
 */
import type {
	Decision,
	Event,
	EventBody,
	EventData,
	EventType,
	GateResult,
	Label,
	Origin,
	Principal,
	Risk,
	RunStatus,
	SignedHead,
} from '#contract/event.ts';
import type {Budget} from '#contract/limits.ts';
import type {Level, RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import type {Scope} from '#contract/scope.ts';
import type {AuditRow} from './audit-row.ts';
import type {HasIdentity} from './identity-store.ts';
import type {HasLetters} from './letters.ts';
import type {Permit} from './permit.ts';
import type {HasQuota} from './quota-store.ts';
import type {HasRetention} from './retention-store.ts';
import type {Spend} from './spend.ts';
import type {AnswerCall, AnyTool, SandboxResult, Stopwatch} from './tool.ts';

export type {AuditRow} from './audit-row.ts';

export type Clock = {now(): Date};

/** A proposal whose tool exists and whose input parsed. */
export type Action = {
	readonly id: string;
	readonly tool: AnyTool;
	readonly input: unknown;
	readonly inputDigest: string;
	readonly risk: Risk;
	readonly resource: {readonly type: string; readonly id: string};
	/** the action whose code, in a sandbox, called for this one */
	readonly parent?: string;
};

/** An effect that was started. */
export type Step = {
	readonly runId: string;
	/** absent of one that is only supposed */
	readonly actionId?: string;
	/** the action whose code called for it */
	readonly parent?: string;
	readonly tool: string;
	/** absent when there is no such tool any more */
	readonly definition: AnyTool | undefined;
	readonly input: unknown;
	readonly risk: Risk;
	/** ISO 8601, UTC */
	readonly at: string;
	/** of what it returned; while it has not, of what its tool may return */
	readonly labels: readonly Label[];
};

/** What gates may look at besides the action: all of it recorded, none of it fetched by a gate. */
export type Facts = {
	readonly principal: Principal;
	readonly now: Date;
	/** what a sandbox would give this action */
	readonly isolation: Level;
	readonly run: {
		readonly id: string;
		readonly startedAt: Date;
		/** how long the run has waited for people so far; budgets do not count it */
		readonly waitedMs: number;
		/** effects started so far */
		readonly actions: number;
		readonly tokens: number;
		readonly costUsd: number;
		/** responses of the model, and calls of it that failed */
		readonly calls: number;
		readonly retries: number;
		/** that its actions returned */
		readonly bytes: number;
		/** effects that were started before this action in the thread, or in the run when it has none; oldest first */
		readonly steps: readonly Step[];
		/** labels of everything the run has read */
		readonly labels: ReadonlySet<Label>;
		/** the dataset or other resource the run was opened for; null when it is not confined to one */
		readonly scope: string | null;
		/** what the run was confined to when it was started; without it only by policy */
		readonly within?: Within;
		readonly budget: Budget;
	};
};

/** What a run may do, and what of it was taken so far. */
export type Within = {
	readonly scope: Scope;
	/** a person started the run: what the scope spells out is their wish */
	readonly byPerson: boolean;
	readonly taken: readonly Taken[];
};

/** An earlier action of a run with a scope. */
export type Taken = {
	readonly actionId: string;
	/** of the `policy` gate when it let the action through; empty when it was denied */
	readonly rules: readonly string[];
	/** `judged` until a person is asked or it starts; one that started and did not succeed stays `started` */
	readonly state: 'judged' | 'asked' | 'started' | 'succeeded';
	/** null until it has succeeded */
	readonly output: unknown;
	readonly labels: readonly Label[];
	/** of its tool */
	readonly vouches: readonly string[];
};

/** Pure. Throwing denies. */
export type Gate = {readonly name: GateResult['gate']; decide(action: Action, facts: Facts): GateResult};

export type Policy = {
	/** digest of everything that can change a decision */
	readonly version: string;
	readonly gates: readonly Gate[];
	/** the last change of a mode that the gates know of; an intent that was decided under an older one than the store's is refused */
	readonly modeNumber?: number;
};

/** How an approval stands when an action asks for it. `pending` is filed by the caller when there is none yet. */
export type ApprovalState =
	| {readonly kind: 'none'}
	| {readonly kind: 'pending'; readonly approvalId: string; readonly approveBy: string}
	| {readonly kind: 'granted'; readonly approvalId: string}
	| {readonly kind: 'rejected' | 'expired' | 'consumed'; readonly approvalId: string; readonly reason: string};

/** What a person is asked: all of it is covered by the answer. */
export type Question = {
	/** digest of tool, version, canonical input, target fingerprint, policy version, risk, budget, preview and how many people are asked */
	readonly binding: string;
	/** exactly what the approver reads */
	readonly preview: string;
	/** SHA-256 of `preview` in UTF-8, hex */
	readonly previewDigest: string;
};

export type Approvals = {
	/** Reads the approval of exactly this action and binding from the run's own events. */
	state(events: readonly Event[], actionId: string, binding: string, now: Date): ApprovalState;
	/** What the approver would read, before secrets are taken out. May throw what the tool throws. */
	preview(action: Action, target?: string | null): string;
	/** The request to file. */
	request(
		action: Action,
		question: Question,
		grounds: {readonly facts: Facts; readonly decision: Decision; readonly owner: Principal | null},
	): EventData<'approval.requested'>;
};

/** The event stream of one run, open for writing by one holder. Appends are serialised, chained, redacted and durable. */
export type Journal = {
	readonly runId: string;
	readonly principal: Principal;
	/** every event of the run, oldest first, including those an unfinished `append` is making durable; if that fails, every later append fails too */
	readonly events: readonly Event[];
	/** Resolves when all of `bodies` are durable, in one transaction. Throws `conflict` if another holder wrote. */
	append(...bodies: readonly EventBody[]): Promise<void>;
	/** Resolves as soon as `events` goes beyond `seq`, or `signal` aborts. */
	changed(seq: number, signal: AbortSignal): Promise<void>;
};

/** One run of a sandbox. `answerCall` answers the tool calls of the code inside; without it there are none. */
export type SandboxJob = {
	readonly spec: SandboxSpec;
	readonly request: RunnerRequest;
	readonly answerCall?: AnswerCall;
	/** A sandbox waits for this one: it is started in the place of that one, which else could be the place it would wait for. */
	readonly nested?: boolean;
	/** The sandbox is ready and takes the request: from here on the time is the run's own. */
	readonly onStart?: () => void;
};

export type Sandboxes = {
	/** Throws `runner_timeout`, `runner_resource_exceeded`, `runner_internal_error`, `sandbox_unavailable` or `cancelled`. */
	run(permit: Permit, job: SandboxJob, signal: AbortSignal): Promise<SandboxResult>;
	/** How far a run would be kept from the host now; `none` while no sandbox works. */
	level(): Promise<Level>;
};

export type Redactor = (value: unknown) => {readonly value: unknown; readonly count: number};

export type Kernel = {
	readonly tools: ReadonlyMap<string, AnyTool>;
	readonly policy: () => Policy;
	readonly approvals: Approvals;
	readonly sandboxes: Sandboxes;
	readonly clock: Clock;
	readonly redact: Redactor;
	/** SHA-256 of the canonical JSON, hex */
	readonly digest: (value: unknown) => string;
	readonly newId: (prefix: 'act' | 'pmt' | 'apr' | 'run') => string;
	readonly budget: Budget;
	/** clocks of the code that waits for what is proposed here: they stand still while a person is awaited */
	readonly held?: Stopwatch;
	/** what other runs of the journal's thread have done; without it a run is judged by itself alone */
	readonly thread?: (journal: Pick<Journal, 'runId' | 'principal' | 'events'>) => Promise<readonly Step[]>;
	/** Makes `policy` know every change of a mode that is durable by now. */
	readonly catchUp?: () => Promise<void>;
	/** transient news for watchers: what an action is doing now */
	readonly progress: (runId: string, news: {readonly actionId: string; readonly stage: string}) => void;
	/** a bug in a tool: logged with its stack, never shown */
	readonly report: (bug: unknown) => void;
};

// --- the store ---------------------------------------------------------------------------------------------------------

export type RunRow = {
	readonly runId: string;
	readonly tenant: string;
	readonly principal: string;
	readonly job: string;
	readonly mode: string;
	readonly threadId: string | null;
	readonly datasetId: string | null;
	readonly datasetHash: string | null;
	readonly question: string | null;
	readonly status: RunStatus;
	readonly createdAt: string;
	readonly finishedAt: string | null;
	readonly durationMs: number | null;
	readonly errorCode: string | null;
	readonly seq: number;
};

export type MessageRow = {
	readonly id: number;
	readonly threadId: string;
	readonly createdAt: string;
	readonly datasetId: string;
	readonly role: 'user' | 'assistant';
	readonly content: string;
	readonly runId: string;
};

export type ThreadRow = {
	readonly threadId: string;
	readonly datasetId: string;
	/** first user message */
	readonly title: string;
	readonly messages: number;
	readonly updatedAt: string;
};

export type ApprovalRow = {
	readonly approvalId: string;
	readonly runId: string;
	readonly actionId: string;
	readonly tenant: string;
	readonly tool: string;
	readonly binding: string;
	readonly preview: string;
	readonly risk: Risk;
	/** SHA-256 of `preview`; empty for what was asked before there was one */
	readonly previewDigest: string;
	readonly state: 'pending' | 'granted' | 'rejected' | 'expired' | 'consumed' | 'cancelled';
	/** distinct people it takes */
	readonly required: number;
	readonly requestedBy: string;
	readonly requestedAt: string;
	readonly approveBy: string;
	readonly executeBy: string | null;
	/** who answered last, and why */
	readonly approver: string | null;
	readonly comment: string | null;
	/** when further people are asked; null when nobody is, or once they were */
	readonly escalateAt: string | null;
	/** `ApprovalDetail` as JSON */
	readonly detail: string;
};

/** A person's grant, counted against the limit of how many one person may give in a while. */
export type GrantRow = {readonly approvalId: string; readonly tenant: string; readonly person: string; readonly at: string};

export type RunFilter = {
	readonly tenant: string;
	readonly job?: string;
	readonly status?: RunStatus;
	readonly datasetId?: string;
	readonly threadId?: string;
	readonly mode?: string;
	/** substring of the question, case-insensitive */
	readonly text?: string;
	/** created at or after */
	readonly since?: string;
	/** created before */
	readonly until?: string;
	/** opaque, from the previous page */
	readonly cursor?: string;
	/** 1..200 */
	readonly limit: number;
};

export type AuditFilter = {
	readonly tenant: string;
	/** who acted, or on whose behalf */
	readonly principal?: string;
	/** of these tools' actions */
	readonly tools?: readonly string[];
	readonly decision?: Decision['effect'];
	readonly type?: EventType;
	readonly runId?: string;
	readonly address?: string;
	readonly client?: Origin['client'];
	/** substring of the detail, case-insensitive */
	readonly text?: string;
	readonly since?: string;
	readonly until?: string;
	/** opaque, from the previous page */
	readonly cursor?: string;
	/** 1..200 */
	readonly limit: number;
};

export type AppendBatch = {
	readonly runId: string;
	/** the stream's last seq before this batch; 0 starts a stream */
	readonly expectedSeq: number;
	readonly events: readonly Event[];
	/** the writer's lease; a stale token is refused with `conflict` */
	readonly fence: {readonly holder: string; readonly token: number; readonly until: string};
	readonly head?: SignedHead;
	/** what starting the run reserves of its tenant's budget, or what ending it settles; in the same transaction */
	readonly spend?: Spend;
};

/** The only durable state. Events and the rows projected from them change in one transaction. */
export type Store = HasIdentity &
	HasQuota &
	HasRetention &
	HasLetters & {
		/**
		 * Throws `conflict` (sequence, fence, or an approval that is not `granted` any more; with `details.modeNumber` for an intent that was
		 * decided before a mode was changed), `budget_exceeded` or `store_unavailable`; then nothing was written.
		 */
		append(batch: AppendBatch): Promise<void>;
		read(runId: string, after?: number): Promise<readonly Event[]>;
		/** The stored events as they are, unparsed and unchecked, in the order of their rows: what a verifier looks at. */
		rawEvents(runId: string): Promise<readonly unknown[]>;
		/** All durable events after `after` (a run's seq), then new ones as they become durable, until aborted. */
		subscribe(runId: string, after: number, signal: AbortSignal): AsyncIterable<Event>;
		head(runId: string): Promise<SignedHead | null>;
		/** The heads of all runs in the order in which they finished, from position `from` (0, 1, 2, …) on; at most `limit`, 1..200. */
		heads(from: number, limit: number): Promise<readonly SignedHead[]>;
		/** Where a run's head is among them; null until the run has finished. */
		headPosition(runId: string): Promise<number | null>;
		/**
		 * Takes over one unfinished run whose lease has run out and, if it awaits approval, whose time to be approved is over; or, given a
		 * `runId`, that run if its lease has run out, is the holder's own, or it awaits approval; null when there is none. The token is
		 * greater than every one before.
		 */
		claim(
			holder: string,
			now: Date,
			leaseMs: number,
			runId?: string,
		): Promise<{readonly runId: string; readonly token: number} | null>;
		/** Who holds runs that are under way, or did when they last said so. */
		holders(): Promise<readonly string[]>;
		/** Ends the leases of a holder that is known to be gone: whatever it held can be claimed at once. */
		abandon(holder: string): Promise<void>;
		/** False when the lease was lost. */
		renew(runId: string, fence: {readonly holder: string; readonly token: number; readonly until: string}): Promise<boolean>;
		run(runId: string): Promise<RunRow | null>;
		runs(filter: RunFilter): Promise<{readonly rows: readonly RunRow[]; readonly next: string | null}>;
		/** What people and agents did, across runs, newest first. */
		audit(filter: AuditFilter): Promise<{readonly rows: readonly AuditRow[]; readonly next: string | null}>;
		/** The latest `limit` messages, oldest first. */
		messages(tenant: string, threadId: string, limit: number): Promise<readonly MessageRow[]>;
		threads(tenant: string, limit: number): Promise<readonly ThreadRow[]>;
		approval(approvalId: string): Promise<ApprovalRow | null>;
		/** Of a tenant, or with null of all of them. */
		approvals(tenant: string | null, state?: ApprovalRow['state']): Promise<readonly ApprovalRow[]>;
		/** Grants that a person gave at or after `since`, taken back or not. */
		grants(tenant: string, person: string, since: string): Promise<number>;
		/** Pending approvals, of all tenants, of which further people are to be told by now. */
		overdue(now: Date): Promise<readonly ApprovalRow[]>;
		/** Writes and removes a row: proves that the store can be written to. */
		check(): Promise<void>;
		close(): Promise<void>;
	};
