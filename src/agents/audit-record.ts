import {WritError} from '#contract/errors.ts';
import type {EventBody, Origin, Principal} from '#contract/event.ts';
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

export type Ports = {
	readonly runs: Runs;
	readonly kernel: Pick<Kernel, 'newId' | 'policy' | 'redact'>;
	readonly software: string;
};

export function createAuditRecorder(ports: Ports): RecordAudit {
	return async ({what, target = null, detail = '', origin}, by) => {
		const data = {what, target, detail, ...(origin === undefined ? {} : {origin})};
		await recordAlone('audit', {type: 'audit.recorded', actor: by, data}, ports);
	};
}

/**
 * Records one event as a run of its own, durable when this resolves to the run's id. Throws `conflict` when the store refuses the
 * event; then the run says that it failed.
 */
export async function recordAlone(mode: string, body: EventBody, {runs, kernel, software}: Ports): Promise<string> {
	const {actor} = body;
	const started = {
		...({job: 'system', mode, threadId: null, question: null, dataset: null} as const),
		...{principal: actor, software, policyVersion: kernel.policy().version},
	};
	// Under an id of its own: a platform that was stopped still records who comes and goes.
	const run = await runs.open(started, actor, new AbortController().signal, kernel.newId('run'));
	const data = kernel.redact(body.data).value;
	try {
		await run.finish({status: 'succeeded', resultActionId: null, error: null}, {...body, data} as EventBody);
		return run.id;
	} catch (error) {
		const failure = error instanceof WritError ? error.toJSON() : null;
		await runs
			.take(run.id, new AbortController().signal)
			.then((again) => again.finish({status: 'failed', resultActionId: null, error: failure}))
			.catch(() => {}); // whoever recovers abandoned runs ends it
		throw error;
	}
}
