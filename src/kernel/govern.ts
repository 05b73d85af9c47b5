/**
 * The one path. A proposal becomes an effect here or nowhere: validate, decide, approve, authorize, execute, verify, record.
 */
import {WritError} from '#contract/errors.ts';
import type {Decision, EventBody, Principal} from '#contract/event.ts';
import type {Level} from '#contract/sandbox.ts';
import type {Propose} from './calls.ts';
import {decide, levelOf} from './decide.ts';
import {execute, type Outcome, recorded} from './execute.ts';
import {factsOf, modeOf, ownerOf} from './facts.ts';
import {once} from './once.ts';
import {mintPermit, type Permit} from './permit.ts';
import type {Action, ApprovalState, Facts, Journal, Kernel, Step} from './ports.ts';
import {toQuestion} from './question.ts';
import {type Candidate, type Proposal, receive, refusal, validate} from './validate.ts';
import {verify} from './verify.ts';
import {closeWaiting, NO_EFFECT, supersede} from './withdraw.ts';

export type {Outcome} from './execute.ts';
export type {Proposal} from './validate.ts';

/**
 * Carries one proposal through every gate, in order, and returns what became of it. Call it again with the same proposal id
 * after an approval was answered or the process died: gates are recomputed, and an effect that may have happened is not repeated.
 * Throws only when the journal cannot be written (`store_unavailable`, `conflict`); then no effect was started.
 */
export async function govern(proposal: Proposal, journal: Journal, kernel: Kernel, signal: AbortSignal): Promise<Outcome> {
	const candidate = receive(proposal, kernel);
	const outcome = await once(journal, candidate, () => attemptInTime(candidate, journal, kernel, signal));
	if (outcome) return outcome;
	const taken = refusal(`the id \`${proposal.id}\` belongs to another proposal of this run`, kernel);
	return refuse(proposal.id, taken, [decided(proposal.id, taken, journal.principal)], journal);
}

/** Decides again when a mode was changed between the decision and its record: then nothing of it was written. */
async function attemptInTime(candidate: Candidate, journal: Journal, kernel: Kernel, signal: AbortSignal): Promise<Outcome> {
	for (;;) {
		const {modeNumber = 0} = kernel.policy();
		try {
			return await attempt(candidate, journal, kernel, signal);
		} catch (error) {
			if (!(error instanceof WritError && error.code === 'conflict' && 'modeNumber' in error.details)) throw error;
			await kernel.catchUp?.();
			if ((kernel.policy().modeNumber ?? 0) <= modeNumber) throw error;
		}
	}
}

async function attempt(candidate: Candidate, journal: Journal, kernel: Kernel, signal: AbortSignal): Promise<Outcome> {
	const past = recorded(candidate.id, journal.events);
	if (past) return past.settled ? past.outcome : closeUnknown(candidate.id, journal, kernel);

	const {action, note, refusal: invalid} = validate(candidate, journal, kernel);
	if (!action) return refuse(candidate.id, invalid, [...note, decided(candidate.id, invalid, journal.principal)], journal);

	const target = await observe(action, journal, kernel, signal);
	if (!target) {
		const unseen = refusal('the state of its target could not be read', kernel);
		return refuse(action.id, unseen, [...note, decided(action.id, unseen, journal.principal)], journal);
	}
	// INVARIANT: nothing is awaited from here to the append of the intent: the gates judge the very state the intent joins.
	const facts = factsOf(journal, kernel, target.isolation, target.past);
	const policy = kernel.policy();
	const decision = decide(action, facts, policy);
	const notes = [...note, decided(action.id, decision, journal.principal)];
	if (decision.effect === 'deny') return refuse(action.id, decision, notes, journal);

	const question = toQuestion(action, {fingerprint: target.fingerprint, decision, facts, salt: journal.events[0]?.salt}, kernel);
	if (!question) {
		const unshown = refusal('its tool could not show what it would do', kernel);
		return refuse(action.id, unshown, [...note, decided(action.id, unshown, journal.principal)], journal);
	}
	const {binding} = question;
	const approval = decision.effect === 'ask' ? kernel.approvals.state(journal.events, action.id, binding, facts.now) : null;
	if (approval?.kind === 'none') {
		const request = kernel.approvals.request(action, question, {facts, decision, owner: ownerOf(journal.events)});
		return park(request, [...notes, ...supersede(action.id, journal)], journal);
	}
	if (approval?.kind === 'pending') return {...approval, kind: 'awaiting_approval', actionId: action.id};
	if (approval && approval.kind !== 'granted') return unapproved(action.id, approval, {notes, journal, kernel});

	const level = levelOf(decision, action, facts, policy);
	const {modeNumber} = policy;
	const grounds = {action, facts, binding, approvalId: approval?.approvalId ?? null, modeNumber};
	const permit = await authorize(grounds, notes, journal, kernel);
	const propose: Propose = (nested, stop, held) => govern(nested, journal, {...kernel, held}, stop);
	const effect = await execute({action, permit, level, target: target.fingerprint, propose}, journal, kernel, signal);
	return verify(effect, journal, kernel);
}

/** The state of the target, when its tool can tell one. Null when it should, and fails: what is not seen is not acted on. */
async function observe(action: Action, journal: Journal, kernel: Kernel, signal: AbortSignal): Promise<Observed | null> {
	const pass = {mode: modeOf(action, journal.events), signal};
	try {
		const isolation = await kernel.sandboxes.level();
		const past = (await kernel.thread?.(journal)) ?? [];
		const fingerprint = (await action.tool.fingerprint?.(action.input as never, journal.principal, pass)) ?? null;
		return {isolation, past, fingerprint};
	} catch (error) {
		// What the platform can name, such as a dataset that is gone, is no bug.
		if (!(error instanceof WritError)) kernel.report(error);
		return null;
	}
}

type Observed = {readonly fingerprint: string | null; readonly isolation: Level; readonly past: readonly Step[]};

type Grounds = {
	readonly action: Action;
	readonly facts: Facts;
	readonly binding: string;
	readonly approvalId: string | null;
	readonly modeNumber: number | undefined;
};

/**
 * INVARIANT: the decision, the consumption of the approval and the intent are one transaction of the run's stream. If another
 * process wrote to the run meanwhile, the approval was used already, or a mode was changed that the gates did not know of, the
 * append throws and no permit exists.
 */
async function authorize(grounds: Grounds, notes: readonly EventBody[], journal: Journal, kernel: Kernel): Promise<Permit> {
	const {action, facts, binding, approvalId, modeNumber} = grounds;
	const permitId = kernel.newId('pmt');
	const known = modeNumber === undefined ? {} : {modeNumber};
	const intent = {actionId: action.id, permitId, approvalId, binding, limits: {...action.tool.limits}, ...known};
	await journal.append(...notes, {type: 'action.intent', actor: facts.principal, data: intent});
	const {tenant} = facts.principal;
	return mintPermit({id: permitId, runId: journal.runId, actionId: action.id, tool: action.tool.name, tenant, binding});
}

function decided(actionId: string, decision: Decision, actor: Principal): EventBody {
	return {type: 'action.decided', actor, data: {actionId, decision}};
}

async function refuse(actionId: string, decision: Decision, notes: readonly EventBody[], journal: Journal): Promise<Outcome> {
	await journal.append(...notes);
	return {kind: 'denied', actionId, decision};
}

async function park(request: Parameters<typeof asked>[0], notes: readonly EventBody[], journal: Journal): Promise<Outcome> {
	await journal.append(...notes, asked(request, journal.principal));
	return {kind: 'awaiting_approval', actionId: request.actionId, approvalId: request.approvalId, approveBy: request.approveBy};
}

function asked(data: ReturnType<Kernel['approvals']['request']>, actor: Principal): EventBody {
	return {type: 'approval.requested', actor, data};
}

async function unapproved(
	actionId: string,
	{kind, approvalId, reason}: Exclude<ApprovalState, {kind: 'none' | 'pending' | 'granted'}>,
	{notes, journal, kernel}: {readonly notes: readonly EventBody[]; readonly journal: Journal; readonly kernel: Kernel},
): Promise<Outcome> {
	const actor = journal.principal;
	const status = kind === 'rejected' ? kind : 'expired';
	const error = new WritError('policy_denied', reason, {details: {approvalId}}).toJSON();
	const lapsed: EventBody[] = kind === 'expired' ? [{type: 'approval.expired', actor, data: {approvalId, actionId}}] : [];
	const data = {...NO_EFFECT, outputDigest: kernel.digest(null), actionId, error};
	await journal.append(...notes, ...lapsed, {type: 'action.outcome', actor, data: {...data, status}});
	return {kind: status, actionId, error};
}

/** `intent` alone after a crash: the effect may or may not have happened. It is said so, and not repeated. */
async function closeUnknown(actionId: string, journal: Journal, kernel: Kernel): Promise<Outcome> {
	const error = new WritError(
		'interrupted',
		'the platform stopped while this action was executing; whether it took effect is not known',
	).toJSON();
	const data = {...NO_EFFECT, outputDigest: kernel.digest(null), actionId, status: 'unknown' as const, error};
	const waiting = closeWaiting(actionId, journal, kernel); // their code died with the platform
	await journal.append(...waiting, {type: 'action.outcome', actor: journal.principal, data});
	return {kind: 'unknown', actionId, error};
}
