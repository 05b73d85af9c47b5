import type {EventData, Origin, Principal} from '#contract/event.ts';
import type {Kernel} from '#kernel/ports.ts';
import type {Runs} from './runs.ts';

/** What happened, e.g. `{what: 'token.created', target: 'tok_1', detail: 'scope read, expires 2027-01-01'}`; never with a secret in it. */
export type AuditNote = {
	/** dotted, at least two words: `login.succeeded`, `login.failed`, `session.ended`, `token.created` */
	readonly what: string;
	readonly target?: string | null;
	readonly detail?: string;
	readonly origin?: Origin;
};

/**
 * Records something to answer for outside of any run, as a signed and chained run of its own. Resolves when it is durable. Works while
 * the platform is stopped. Throws `store_unavailable`: what has to be audited must not happen then.
 */
export type RecordAudit = (note: AuditNote, by: Principal) => Promise<void>;

type Ports = {readonly runs: Runs; readonly kernel: Pick<Kernel, 'newId' | 'policy' | 'redact'>; readonly software: string};

export function createAuditRecorder({runs, kernel, software}: Ports): RecordAudit {
	return async ({what, target = null, detail = '', origin}, by) => {
		const started = {
			...({job: 'system', mode: 'audit', threadId: null, question: null, dataset: null} as const),
			...{principal: by, software, policyVersion: kernel.policy().version},
		};
		const data = {what, target, detail, ...(origin === undefined ? {} : {origin})};
		// Under an id of its own: a platform that was stopped still records who comes and goes.
		const run = await runs.open(started, by, new AbortController().signal, kernel.newId('run'));
		const redacted = kernel.redact(data).value as EventData<'audit.recorded'>;
		await run.finish(
			{status: 'succeeded', resultActionId: null, error: null},
			{type: 'audit.recorded', actor: by, data: redacted},
		);
	};
}
