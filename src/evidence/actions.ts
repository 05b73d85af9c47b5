import type {Event, EventData, EventType, GateResult} from '#contract/event.ts';
import {type TestCase, testCaseSchema} from '#contract/sandbox.ts';

type Answer = (typeof ANSWERS)[number];
const ANSWERS = ['approval.granted', 'approval.rejected', 'approval.revoked', 'approval.expired', 'approval.cancelled'] as const;

type EventOf<T extends EventType> = Extract<Event, {type: T}>;

/** One action with everything its run says of it. */
export type ActionRecord = {
	readonly proposed: EventOf<'action.proposed'>;
	/** what the gates said last: it is what counted */
	readonly decided: EventOf<'action.decided'> | null;
	readonly requested: EventOf<'approval.requested'> | null;
	readonly answers: readonly EventOf<Answer>[];
	readonly intent: EventOf<'action.intent'> | null;
	readonly outcome: EventOf<'action.outcome'> | null;
	readonly verified: EventOf<'action.verified'> | null;
	/** all of them in order */
	readonly events: readonly Event[];
};

/** The actions of a run in the order in which they were proposed. */
export function toActions(events: readonly Event[]): readonly ActionRecord[] {
	const byAction = new Map<string, Event[]>();
	for (const event of events) {
		if (!('actionId' in event.data)) continue;
		const known = byAction.get(event.data.actionId);
		if (known) known.push(event);
		else byAction.set(event.data.actionId, [event]);
	}
	return [...byAction.values()].flatMap((own) => {
		const last = <T extends EventType>(type: T) => (own.findLast((event) => event.type === type) ?? null) as EventOf<T> | null;
		const proposed = last('action.proposed');
		if (!proposed) return [];
		return {
			proposed,
			decided: last('action.decided'),
			requested: last('approval.requested'),
			answers: own.filter(isAnswer),
			intent: last('action.intent'),
			outcome: last('action.outcome'),
			verified: last('action.verified'),
			events: own,
		};
	});
}

function isAnswer(event: Event): event is EventOf<Answer> {
	return ANSWERS.some((type) => type === event.type);
}

/** How an action ended, in one word. */
export function endOf({decided, outcome, verified}: ActionRecord): string {
	if (verified?.data.verdict.kind === 'undone') return 'undone';
	if (outcome) return outcome.data.status;
	return decided?.data.decision.effect === 'deny' ? 'denied' : 'not started';
}

/** Why an action did not do what was wanted; null when it did. */
export function faultOf(action: ActionRecord): {readonly rule: string; readonly message: string} | null {
	const {decided, outcome, verified} = action;
	const denial = decided?.data.decision.effect === 'deny' ? denialOf(decided.data.decision.gates) : null;
	if (denial && !outcome) return {rule: denial.rules[0] ?? denial.gate, message: denial.reason};
	const error = outcome?.data.error;
	if (error) return {rule: error.code, message: error.message};
	const failed = verified?.data.verdict.checks.find(({passed}) => !passed);
	if (failed) return {rule: verified?.data.verdict.kind ?? 'unverified', message: `${failed.name}: ${failed.detail}`};
	return outcome ? null : {rule: 'not-started', message: 'the action was proposed and never started'};
}

function denialOf(gates: readonly GateResult[]): GateResult | undefined {
	return gates.find(({effect}) => effect === 'deny');
}

/** What was tested inside: the cases of a test run, else what was checked of any other. */
export type Tested = {readonly name: string; readonly status: TestCase['status']; readonly message: string | null};

export function testsOf({proposed, outcome, verified}: ActionRecord): readonly Tested[] {
	if (outcome?.erased !== undefined)
		return [{name: `${proposed.data.tool}: ${outcome.data.status}`, status: 'skipped', message: 'what came out was erased'}];
	const cases = testCaseSchema
		.array()
		.min(1)
		.safeParse((outcome?.data.output as {cases?: unknown} | null)?.cases);
	if (cases.success) {
		return cases.data.map(({file, name, status, message}) => ({
			name: [file, ...name].filter(Boolean).join(' › '),
			status,
			message: message ?? null,
		}));
	}
	const ended: Tested = {
		name: `${proposed.data.tool} succeeds`,
		status: outcome?.data.status === 'succeeded' ? 'passed' : 'failed',
		message: outcome?.data.error?.message ?? null,
	};
	const checks = verified?.data.verdict.checks ?? [];
	return [
		ended,
		...checks.map(({name, passed, detail}): Tested => ({name, status: passed ? 'passed' : 'failed', message: detail})),
	];
}

/** The data of the run's first and last event. */
export function frameOf(events: readonly Event[]): {
	readonly started: EventData<'run.started'> | null;
	readonly finished: EventData<'run.finished'> | null;
} {
	const [first, last] = [events[0], events.at(-1)];
	return {
		started: first?.type === 'run.started' ? first.data : null,
		finished: last?.type === 'run.finished' ? last.data : null,
	};
}
