/** People's answers to approvals, recorded in the runs they belong to. */

import type {Config} from '#config/config.ts';
import type {ApprovalsReply} from '#contract/approval-api.ts';
import {WritError} from '#contract/errors.ts';
import type {Event, EventBody, Principal} from '#contract/event.ts';
import type {ApprovalRow} from '#kernel/ports.ts';
import {personOf} from '#kernel/tally.ts';
import type {ApprovalAnswer} from '#server/deps.ts';
import {answerElsewhere, takeLetters} from './answers-elsewhere.ts';
import {createTurns} from './in-turn.ts';
import type {Platform} from './platform.ts';
import {answeringOf} from './policies.ts';

export type Approving = {
	/** Throws `not_found`, `forbidden`, `conflict`, `policy_denied` or `confirmation_required`. */
	answer(answer: ApprovalAnswer): Promise<ApprovalRow>;
	/** How much a person has granted lately. */
	rate(person: Principal): Promise<ApprovalsReply['rate']>;
	/** Asks further people for whatever has waited long enough; what is due is in the store, so a restart forgets nothing. */
	escalate(): Promise<number>;
	/** Takes the answers that other servers were given for runs of this one. Returns how to stop. */
	listen(): () => void;
};

type Needs = Pick<Platform, 'store' | 'runs' | 'approvals' | 'kernel' | 'policy'>;

export function createApproving({store, runs, approvals, kernel, policy}: Needs, {governance}: Config): Approving {
	const rate = async (person: Principal) => {
		const {grants: limit, windowSeconds} = answeringOf(policy.current().document, governance).fatigue;
		const since = new Date(kernel.clock.now().getTime() - windowSeconds * 1_000).toISOString();
		return {granted: await store.grants(person.tenant, personOf(person), since), limit, windowSeconds};
	};
	const record = async (given: ApprovalAnswer, {runId}: ApprovalRow) => {
		const {approver} = given;
		const recently = given.verb === 'grant' ? (await rate(approver)).granted : 0;
		const decide = (events: readonly Event[]): EventBody => {
			const now = kernel.clock.now();
			switch (given.verb) {
				case 'grant':
					return approvals.grant(events, {...given, recently}, now);
				case 'delegate':
					return approvals.delegate(events, given, now);
				default:
					return approvals[given.verb](events, given, now);
			}
		};
		decide(await store.read(runId)); // refuses before the run is taken up
		await runs.write(runId, decide);
	};
	/** What one person grants is counted one after the other, on all servers: each counts those before. */
	const inTurn = createTurns(store.retention, kernel.clock);
	const recordHere = (given: ApprovalAnswer, row: ApprovalRow) => {
		if (given.verb !== 'grant') return record(given, row);
		return inTurn(JSON.stringify(['grant', row.tenant, personOf(given.approver)]), () => record(given, row));
	};
	const find = async ({approvalId, approver}: ApprovalAnswer) => {
		const row = await store.approval(approvalId);
		if (row?.tenant === approver.tenant) return row;
		throw new WritError('not_found', `there is no approval \`${approvalId}\``);
	};
	const posting = {letters: store.letters, runs, kernel};
	return {
		rate,
		listen: () => takeLetters(async (given) => recordHere(given, await find(given)), posting),
		async answer(given) {
			const row = await find(given);
			try {
				await recordHere(given, row);
			} catch (error) {
				const isHeld = error instanceof WritError && 'isHeld' in error.details;
				if (!isHeld || (await store.run(row.runId))?.status !== 'running') throw error;
				await answerElsewhere(row.runId, given, posting);
			}
			return (await store.approval(row.approvalId)) ?? row;
		},
		async escalate() {
			const due = await store.overdue(kernel.clock.now());
			const told = await Promise.all(due.map(async (row) => (await tell(row)) ?? false));
			return told.filter(Boolean).length;
		},
	};

	async function tell({runId, approvalId}: ApprovalRow): Promise<boolean> {
		const escalation = (events: readonly Event[]) => approvals.escalate(events, approvalId, kernel.clock.now());
		if (!escalation(await store.read(runId))) return false;
		try {
			await runs.write(runId, (events) => {
				const body = escalation(events);
				if (!body) throw new WritError('conflict', 'it was answered meanwhile');
				return body;
			});
			return true;
		} catch (error) {
			// Whoever came first has done it, and what is still due is found by the next pass.
			if (error instanceof WritError && error.code === 'conflict') return false;
			throw error;
		}
	}
}
