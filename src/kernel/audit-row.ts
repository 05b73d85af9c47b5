import type {Decision, EventType, Origin, Principal, Risk} from '#contract/event.ts';

/** One event that somebody may have to answer for: who, what, why and in what work; `runId`, `seq` and `hash` are its place in its chain. */
export type AuditRow = {
	readonly runId: string;
	readonly seq: number;
	readonly hash: string;
	readonly at: string;
	readonly type: EventType;
	readonly actor: string;
	readonly actorKind: Principal['kind'];
	/** on whose behalf */
	readonly principal: string;
	readonly job: string;
	readonly mode: string;
	readonly actionId: string | null;
	readonly tool: string | null;
	readonly decision: Decision['effect'] | null;
	readonly risk: Risk | null;
	/** the reasons, the comment or the error; cut after 500 characters */
	readonly detail: string;
	/** from where it was asked, where somebody did and that is known */
	readonly address: string | null;
	readonly client: Origin['client'] | null;
	readonly requestId: string | null;
};
