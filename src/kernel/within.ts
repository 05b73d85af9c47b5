import type {Event} from '#contract/event.ts';
import {isPerson} from './delegate.ts';
import type {Journal, Kernel, Taken, Within} from './ports.ts';

/** The scope that a run was started with, and what of it was taken; null when it has none. */
export function withinOf({events}: Pick<Journal, 'events'>, tools: Kernel['tools']): Within | null {
	const [first] = events;
	if (first?.type !== 'run.started' || first.data.scope === undefined) return null;
	const taken = new Map<string, Taken>();
	for (const event of events.slice(1)) take(event, taken, tools);
	// INVARIANT: only what a person wrote down counts as a person's wish; an agent that starts a run gives nobody's.
	return {scope: first.data.scope, byPerson: isPerson(first.data.principal), taken: [...taken.values()]};
}

function take(event: Event, taken: Map<string, Taken>, tools: Kernel['tools']): void {
	const set = (id: string, change: Partial<Taken>) => {
		const past = taken.get(id);
		if (past) taken.set(id, {...past, ...change});
	};
	switch (event.type) {
		case 'action.proposed': {
			const {actionId, tool} = event.data;
			const vouches = tools.get(tool)?.vouches ?? [];
			taken.set(actionId, {actionId, vouches, rules: [], state: 'judged', output: null, labels: []});
			break;
		}
		case 'action.decided': {
			const {actionId, decision} = event.data;
			const rules = decision.gates.flatMap((each) => (each.gate === 'policy' ? each.rules : []));
			set(actionId, {rules: decision.effect === 'deny' ? [] : rules});
			break;
		}
		case 'approval.requested':
			set(event.data.actionId, {state: 'asked'});
			break;
		case 'action.intent':
			set(event.data.actionId, {state: 'started'});
			break;
		case 'action.outcome': {
			const {actionId, status, output, labels} = event.data;
			if (status === 'succeeded') set(actionId, {state: 'succeeded', output, labels});
			break;
		}
	}
}
