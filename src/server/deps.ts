/**
 * HTTP: requests into calls, events into SSE, outcomes into status codes. Nothing here decides what an agent may do; whatever
 * the routes need is in `ServerDeps`, built by main.ts.
 */
import type {RecordAudit} from '#agents/audit-record.ts';
import type {Analyst} from '#analyst/analyst.ts';
import type {Check, ConfigReply, Verification} from '#contract/api.ts';
import type {ApprovalsReply} from '#contract/approval-api.ts';
import type {BudgetReply} from '#contract/budget.ts';
import type {Event, Origin, Principal} from '#contract/event.ts';
import type {Role} from '#contract/identity.ts';
import type {ModeReply, ModeRequest} from '#contract/mode.ts';
import type {
	BacktestReply,
	ExplainRequest,
	Explanation,
	PolicyCheck,
	PolicyCheckReply,
	PolicyReload,
	PolicyReply,
	PolicyText,
} from '#contract/policy-api.ts';
import type {ReplayReply} from '#contract/reproducibility.ts';
import type {Hold, HoldRequest, RetentionPreview, RetentionReply} from '#contract/retention.ts';
import type {Identity} from '#identity/identity.ts';
import type {ApprovalRow, Clock, Redactor, Store} from '#kernel/ports.ts';
import type {Storage} from '#kernel/storage.ts';
import type {AnyTool} from '#kernel/tool.ts';
import type {FileStore} from '#tools/files.ts';
import type {Log} from './log.ts';
import type {Tracing} from './tracing.ts';

/** What a policy was, would be, and becomes. */
export type PolicyCalls = {
	reload(by: Principal): Promise<PolicyReload>;
	/** Throws `not_found`. */
	explain(request: ExplainRequest, caller: Principal): Promise<Explanation>;
	check(check: PolicyCheck): Promise<PolicyCheckReply>;
	/** Throws `validation_error` for a policy that is not sound. */
	backtest(policy: PolicyText, since: string, tenant: string): Promise<BacktestReply>;
};

export type ServerOptions = {
	readonly host: string;
	readonly port: number;
	/** further Host values, with port, for a loopback server */
	readonly allowedHosts: readonly string[];
	/** as browsers see it, e.g. https://writ.example.com; null for the address itself */
	readonly publicUrl: string | null;
	/** empty and no sign-in: single-user, loopback only */
	/** addresses whose `X-Forwarded-For` is believed */
	readonly trustedProxies?: readonly string[];
	readonly authTokens: readonly {
		readonly token: string;
		readonly id: string;
		readonly tenant: string;
		readonly person?: string;
		readonly roles?: readonly Role[];
	}[];
	readonly maxJsonBytes: number;
	readonly maxUploadBytes: number;
	readonly maxUploadFiles: number;
	readonly requestsPerMinute: number;
	readonly burst: number;
	readonly maxConcurrentRuns: number;
	readonly heartbeatMs: number;
	readonly disconnectGraceMs: number;
	readonly shutdownMs: number;
	/** where uploads wait for their ingest; emptied after each */
	readonly uploadDir: string;
	/** the built page; null serves the API alone */
	readonly pageDir: string | null;
};

export type Evidence = {
	/** Throws `not_found`. */
	verify(runId: string): Promise<Verification>;
	/** Does again what a run did and compares. Throws `not_found`. */
	replay(runId: string, caller: {readonly principal: Principal; readonly signal: AbortSignal}): Promise<ReplayReply>;
	/** The run's evidence as one file that the offline verifier reads. Throws `not_found`, and `conflict` for a bundle of an unfinished run. */
	pack(
		runId: string,
		format: 'capsule' | 'bundle',
	): Promise<{readonly name: string; readonly mediaType: string; readonly body: Uint8Array<ArrayBuffer>}>;
};

export type ApprovalAnswer = {readonly approvalId: string; readonly approver: Principal; readonly comment: string} & (
	| {readonly verb: 'grant'; readonly previewDigest: string; readonly confirm?: string}
	| {readonly verb: 'delegate'; readonly to: string}
	| {readonly verb: 'reject' | 'revoke' | 'comment'}
);

/** Unused and working sandboxes, by runner. */
export type PoolStats = Readonly<Record<string, {readonly idle: number; readonly busy: number}>>;

export type ServerDeps = {
	readonly identity: Identity;
	readonly analyst: Analyst;
	/** what programs and tests read and left */
	readonly files: Pick<FileStore, 'put' | 'open' | 'erase'>;
	readonly store: Store;
	readonly tools: readonly AnyTool[];
	readonly policy: () => PolicyReply;
	readonly policies: PolicyCalls;
	readonly approving: {
		/** Records a person's answer. Throws `not_found`, `forbidden`, `conflict`, `policy_denied` or `confirmation_required`. */
		answer(answer: ApprovalAnswer): Promise<ApprovalRow>;
		/** How much a person has granted lately. */
		rate(person: Principal): Promise<ApprovalsReply['rate']>;
	};
	readonly evidence: Evidence;
	/** what serving needs; asked for each `/readyz` */
	readonly ready: () => Promise<readonly Check[]>;
	/** everything a person who runs the platform may want to know */
	readonly doctor: () => Promise<readonly Check[]>;
	readonly killSwitch: {
		state(caller: Principal): ModeReply;
		/** Throws `conflict` for the mode in force, `forbidden` for who is no person or names another tenant. */
		change(wanted: ModeRequest, by: Principal): Promise<ModeReply>;
	};
	/** on record before it happens, or it does not happen */
	readonly recordAudit: RecordAudit;
	readonly holds: {
		list(tenant: string): Promise<readonly Hold[]>;
		/** Throws `not_found`, or `forbidden` for who is no person. */
		place(request: HoldRequest, by: Principal, origin?: Origin): Promise<Hold>;
		/** Throws `not_found`, `forbidden` or `conflict`. */
		release(holdId: string, reason: string, caller: {readonly by: Principal; readonly origin?: Origin}): Promise<Hold>;
	};
	readonly retention: {
		preview(tenant: string): Promise<RetentionPreview>;
		/** Throws `conflict` while another server erases. */
		run(tenant: string | null, by: Principal): Promise<RetentionReply>;
	};
	readonly budget: (tenant: string) => Promise<BudgetReply>;
	/** room for what is uploaded */
	readonly storage: Pick<Storage, 'hold'>;
	readonly config: () => ConfigReply;
	/** every durable event of this process, after it became durable; returns the way to stop */
	readonly watch: (listener: (event: Event) => void) => () => void;
	readonly pools: () => PoolStats;
	/** what failures say passes it too */
	readonly redact: Redactor;
	readonly log: Log;
	readonly tracing: Tracing;
	readonly clock: Clock;
	readonly version: string;
	readonly options: ServerOptions;
};
