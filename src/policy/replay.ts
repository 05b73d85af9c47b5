import type {Decision, Event, EventData, Principal} from '#contract/event.ts';
import type {Budget} from '#contract/limits.ts';
import type {DecisionChange} from '#contract/policy-api.ts';
import type {Level} from '#contract/sandbox.ts';
import {decide} from '#kernel/decide.ts';
import {factsOf} from '#kernel/facts.ts';
import type {Action, Facts, Kernel, Policy, Step} from '#kernel/ports.ts';

/** A decision of a recorded run, with the very action and facts it was taken on. */
export type Past = {
	readonly runId: string;
	readonly actionId: string;
	readonly at: string;
	readonly tool: string;
	readonly principal: Principal;
	readonly recorded: Decision;
	/** null when no gate judged it: its tool is no more, or its input was refused */
	readonly judged: {readonly action: Action; readonly facts: Facts} | null;
};

export type Replaying = {
	readonly tools: Kernel['tools'];
	readonly budget: Budget;
	/** of actions whose outcome does not tell it */
	readonly isolation: Level;
	/** what other runs of the thread did, at any time */
	readonly thread: readonly Step[];
};

/** Every decision of a run, oldest first, with the facts folded up to there. */
export function replayRun(events: readonly Event[], options: Replaying): readonly Past[] {
	const proposals = new Map<string, EventData<'action.proposed'>>();
	const levels = new Map<string, Level>();
	for (const event of events) {
		if (event.type === 'action.proposed') proposals.set(event.data.actionId, event.data);
		if (event.type === 'action.outcome' && event.data.isolation) levels.set(event.data.actionId, event.data.isolation.level);
	}
	return events.flatMap((event, index): Past[] => {
		if (event.type !== 'action.decided') return [];
		const {actionId, decision: recorded} = event.data;
		const proposed = proposals.get(actionId);
		if (!proposed) return [];
		const action = recorded.gates.some(({gate}) => gate === 'schema') ? null : toAction(proposed, options.tools);
		const isolation = levels.get(actionId) ?? options.isolation;
		const before = {runId: event.runId, principal: event.actor, events: events.slice(0, index)};
		const facts = () =>
			factsOf(before, {...options, clock: {now: () => new Date(event.at)}}, isolation, until(options.thread, event.at));
		const judged = action === null ? null : {action, facts: facts()};
		return [{runId: event.runId, actionId, at: event.at, tool: proposed.tool, principal: event.actor, recorded, judged}];
	});
}

/** What a policy makes of a past action. */
export function decideAgain({action, facts}: NonNullable<Past['judged']>, policy: Policy): Decision {
	return decide(action, facts, policy);
}

/** What decided, in one line. */
export function gist({effect, quorum, gates}: Decision): DecisionChange['before'] {
	const deciding = gates.filter((gate) => gate.effect === effect);
	return {
		effect,
		quorum: effect === 'ask' ? (quorum ?? 1) : 0,
		rules: deciding.flatMap(({rules}) => rules),
		reason: deciding.map(({reason}) => reason).join('; '),
	};
}

function until(steps: readonly Step[], at: string): readonly Step[] {
	return steps.filter((step) => Date.parse(step.at) <= Date.parse(at));
}

/** The proposal as an action; null when its tool is no more or does not take the input any more. */
export function toAction(
	proposed: Pick<EventData<'action.proposed'>, 'actionId' | 'tool' | 'input' | 'inputDigest' | 'parentActionId'>,
	tools: Kernel['tools'],
): Action | null {
	const tool = tools.get(proposed.tool);
	const input = tool?.input.safeParse(proposed.input);
	if (!tool || !input?.success) return null;
	const {actionId: id, inputDigest, parentActionId: parent} = proposed;
	try {
		const risk = typeof tool.risk === 'function' ? tool.risk(input.data) : tool.risk;
		return {
			id,
			tool,
			input: input.data,
			inputDigest,
			risk,
			resource: tool.resource(input.data),
			...(parent === undefined ? {} : {parent}),
		};
	} catch {
		return null; // it could not be judged then either
	}
}
