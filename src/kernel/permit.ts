import {WritError} from '#contract/errors.ts';

const live = new WeakSet<Permit>();

/** Proof that every gate passed for one action. Sandboxes and executors accept nothing else. */
export type Permit = {
	readonly id: string;
	readonly runId: string;
	readonly actionId: string;
	readonly tool: string;
	readonly tenant: string;
	/** digest of all that was decided on (question.ts) */
	readonly binding: string;
	readonly [brand]: true;
};

declare const brand: unique symbol;

/** INVARIANT: called only by `govern`, after the intent is durable (test/architecture.test.ts). */
export function mintPermit(facts: Omit<Permit, typeof brand>): Permit {
	const permit = Object.freeze({...facts}) as Permit;
	live.add(permit);
	return permit;
}

/** The action is over: nothing may start under its permit any more. */
export function revokePermit(permit: Permit): void {
	live.delete(permit);
}

/** Throws unless `permit` was minted here and its action is still executing. A copy or a look-alike does not pass. */
export function assertPermit(permit: Permit): void {
	if (!live.has(permit)) throw new WritError('policy_denied', 'an effect was attempted without a live permit');
}
