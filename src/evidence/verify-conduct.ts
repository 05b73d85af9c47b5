/** The rules a run has to keep, as the verifier knows them. Shares the canonical form with the writer and nothing else. */
import type {Verification} from '#contract/api.ts';
import type {Decision, Event, EventData, EventType} from '#contract/event.ts';
import {digest} from './canonical.ts';

/** One thing that was looked at. The worst verdict counts; `position` is the seq of the first event that is wrong. */
export type Finding = {
	readonly name: string;
	readonly verdict: Verification['verdict'];
	readonly detail: string;
	readonly position?: number;
	/** of a bundle: the file that is wrong */
	readonly file?: string;
};

type ActionRecord = {
	inputDigest: string | null;
	decision: Decision | null;
	hasIntent: boolean;
	hasOutcome: boolean;
	rejected: boolean;
	withdrawn: boolean;
};
type ApprovalRecord = {
	request: EventData<'approval.requested'>;
	/** by person, oldest first: until when each grant counts */
	grants: Map<string, string>;
	rejected: boolean;
	used: boolean;
};
type Ledger = {readonly actions: Map<string, ActionRecord>; readonly approvals: Map<string, ApprovalRecord>};

/** Returns what is wrong with an event, given all before it, and adds it to them. */
type Rule<T extends EventType> = (data: EventData<T>, record: Ledger, event: Event) => string | null;
type Rules = {readonly [T in EventType]?: {readonly check: string; readonly rule: Rule<T>}};

const CHECKS = ['digests', 'decisions', 'approvals', 'intents', 'outcomes'] as const;

/** Whether the platform kept its own rules: what was decided, approved, started and reported, in that order. */
export function checkConduct(events: readonly Event[]): Finding[] {
	const record: Ledger = {actions: new Map(), approvals: new Map()};
	const faults = new Map<string, {detail: string; position: number}>();
	const counts = new Map<string, number>();
	for (const event of events) {
		const entry = RULES[event.type];
		if (!entry) continue;
		counts.set(entry.check, (counts.get(entry.check) ?? 0) + 1);
		const fault = (entry.rule as Rule<EventType>)(event.data, record, event);
		if (fault && !faults.has(entry.check)) faults.set(entry.check, {detail: `event ${event.seq}: ${fault}`, position: event.seq});
	}
	return CHECKS.map((name): Finding => {
		const fault = faults.get(name);
		return fault ? {name, verdict: 'tampered', ...fault} : {name, verdict: 'valid', detail: `${counts.get(name) ?? 0} looked at`};
	});
}

const RULES: Rules = {
	'action.proposed': {
		check: 'digests',
		rule({actionId, input, inputDigest}, {actions}, {erased}) {
			if (actions.has(actionId)) return `action ${actionId} was proposed twice`;
			actions.set(actionId, {
				inputDigest,
				decision: null,
				hasIntent: false,
				hasOutcome: false,
				rejected: false,
				withdrawn: false,
			});
			return erased !== undefined || tryDigest(input) === inputDigest
				? null
				: 'the input is not the one whose digest was decided on';
		},
	},
	'action.decided': {
		check: 'decisions',
		rule({actionId, decision}, {actions}) {
			const action = actions.get(actionId);
			if (!action) return `action ${actionId} was never proposed`;
			action.decision = decision;
			const effects = decision.gates.map(({effect}) => effect);
			const strictest = effects.includes('deny') ? 'deny' : effects.includes('ask') ? 'ask' : 'allow';
			if (effects.length === 0) return 'no gate decided';
			return decision.effect === strictest ? null : `it says ${decision.effect}, but its gates say ${strictest}`;
		},
	},
	'approval.requested': {
		check: 'approvals',
		rule(request, {actions, approvals}) {
			if (approvals.has(request.approvalId)) return `approval ${request.approvalId} was requested twice`;
			approvals.set(request.approvalId, {request, grants: new Map(), rejected: false, used: false});
			return actions.get(request.actionId)?.decision?.effect === 'ask' ? null : 'no decision asked for it';
		},
	},
	'approval.granted': {
		check: 'approvals',
		rule({approvalId, actionId, approver, executeBy, previewDigest}, {approvals}, {at}) {
			const approval = approvals.get(approvalId);
			if (approval?.request.actionId !== actionId) return `approval ${approvalId} was never requested for action ${actionId}`;
			if (approver.kind !== 'user') return `${approver.id} is no person, and only a person may approve`;
			if (approval.rejected) return `approval ${approvalId} was rejected before`;
			if (Date.parse(at) > Date.parse(approval.request.approveBy)) return `it came after ${approval.request.approveBy}`;
			if (previewDigest !== approval.request.previewDigest) return `${approver.id} was shown something else than what was asked`;
			const person = approver.person ?? approver.id;
			if (approval.grants.has(person)) return `${person} granted approval ${approvalId} twice`;
			approval.grants.set(person, executeBy);
			return null;
		},
	},
	'approval.revoked': {
		check: 'approvals',
		rule({approvalId, actionId, approver, takesBack}, record) {
			if (takesBack === 'all') return closeApproval(approvalId, actionId, record);
			const approval = record.approvals.get(approvalId);
			if (approval?.used) return `approval ${approvalId} was used before`;
			const taken = approval?.grants.delete(approver.person ?? approver.id);
			return taken ? null : `${approver.id} took back a grant of approval ${approvalId} that there was not`;
		},
	},
	'approval.cancelled': {
		check: 'approvals',
		rule({approvalId, actionId}, record) {
			const action = record.actions.get(actionId);
			const wasRejected = action?.rejected ?? false;
			const fault = closeApproval(approvalId, actionId, record);
			if (action) Object.assign(action, {rejected: wasRejected, withdrawn: true});
			return fault;
		},
	},
	'approval.rejected': {
		check: 'approvals',
		rule: ({approvalId, actionId}, record) => closeApproval(approvalId, actionId, record),
	},
	'approval.expired': {check: 'approvals', rule: ({approvalId, actionId}, record) => closeApproval(approvalId, actionId, record)},
	'action.intent': {
		check: 'intents',
		rule({actionId, approvalId, binding}, {actions, approvals}, {at}) {
			const action = actions.get(actionId);
			if (!action) return `action ${actionId} was never proposed`;
			if (action.hasIntent || action.hasOutcome) return `action ${actionId} was started before`;
			action.hasIntent = true;
			if (action.decision?.effect === 'allow') return null;
			if (action.decision?.effect !== 'ask') return `action ${actionId} was not allowed`;
			const approval = approvalId === null ? undefined : approvals.get(approvalId);
			if (approval?.request.actionId !== actionId) return `action ${actionId} had no approval`;
			const fault = approvalFault(approval, binding, at);
			approval.used = true;
			return fault;
		},
	},
	'action.outcome': {
		check: 'outcomes',
		rule({actionId, status, output, outputDigest}, {actions}, {erased}) {
			const action = actions.get(actionId);
			if (!action) return `action ${actionId} was never proposed`;
			if (action.hasOutcome) return `action ${actionId} had an outcome before`;
			action.hasOutcome = true;
			const isWithdrawn = status === 'cancelled' && action.withdrawn && !action.hasIntent;
			const isRefusal = status === 'rejected' || status === 'expired' || isWithdrawn;
			if (!isRefusal && !action.hasIntent) return `action ${actionId} has an outcome without an intent`;
			if (isRefusal && action.hasIntent) return `action ${actionId} is ${status}, yet it was started`;
			if (status === 'rejected' && !action.rejected) return `nobody rejected action ${actionId}`;
			return erased !== undefined || tryDigest(output) === outputDigest ? null : 'the output does not match its digest';
		},
	},
	'action.verified': {
		check: 'outcomes',
		rule: ({actionId}, {actions}) => (actions.get(actionId)?.hasOutcome ? null : `action ${actionId} has no outcome to verify`),
	},
	'run.finished': {
		check: 'outcomes',
		rule({resultActionId}, {actions}) {
			const [open] = [...actions].find(([, {hasIntent, hasOutcome}]) => hasIntent && !hasOutcome) ?? [];
			if (open !== undefined) return `action ${open} was started, and nothing says what became of it`;
			return resultActionId === null || actions.get(resultActionId)?.hasOutcome
				? null
				: `action ${resultActionId} has no outcome`;
		},
	},
};

function closeApproval(approvalId: string, actionId: string, {actions, approvals}: Ledger): string | null {
	const approval = approvals.get(approvalId);
	if (approval?.request.actionId !== actionId) return `approval ${approvalId} was never requested for action ${actionId}`;
	approval.rejected = true;
	const action = actions.get(actionId);
	if (action) action.rejected = true;
	return approval.used ? `approval ${approvalId} was used before` : null;
}

function approvalFault({request, grants, rejected, used}: ApprovalRecord, binding: string, at: string): string | null {
	const {approvalId, required = 1} = request;
	const executeBy = [...grants.values()][required - 1];
	if (rejected || grants.size === 0) return `approval ${approvalId} was not granted`;
	if (executeBy === undefined) return `approval ${approvalId} was granted by ${grants.size} of ${required} people`;
	if (used) return `approval ${approvalId} was used before`;
	if (request.binding !== binding) return `approval ${approvalId} covers another action than the one that was started`;
	return Date.parse(at) > Date.parse(executeBy) ? `it was started after ${executeBy}, when its approval had run out` : null;
}

/** Null for what has no canonical form, which equals no digest. */
export function tryDigest(value: unknown): string | null {
	try {
		return digest(value);
	} catch {
		return null;
	}
}
