import type {EventData, Risk} from '#contract/event.ts';
import type {Journal, Kernel, Step} from './ports.ts';

/** The effects a run has started, oldest first. */
export function stepsOf({runId, events}: Pick<Journal, 'runId' | 'events'>, tools: Kernel['tools']): readonly Step[] {
	const proposed = new Map<string, EventData<'action.proposed'>>();
	const risks = new Map<string, Risk>();
	const started = new Map<string, Step>();
	for (const {type, at, data} of events) {
		switch (type) {
			case 'action.proposed':
				proposed.set(data.actionId, data);
				break;
			case 'action.decided':
				risks.set(data.actionId, data.decision.risk);
				break;
			case 'action.intent': {
				const {actionId} = data;
				const {tool, input, parentActionId} = proposed.get(actionId) ?? {tool: '', input: null};
				const place = {runId, actionId, ...(parentActionId !== undefined && {parent: parentActionId})};
				const definition = tools.get(tool);
				const risk = risks.get(actionId) ?? 'critical';
				started.set(actionId, {...place, tool, definition, input, risk, at, labels: definition?.labels ?? []});
				break;
			}
			case 'action.outcome': {
				const step = started.get(data.actionId);
				if (step) started.set(data.actionId, {...step, labels: data.labels});
				break;
			}
		}
	}
	return [...started.values()];
}

/** Whatever changes something can carry out what is known; so can a read that says so, and code with a network. Errs towards yes. */
export function carriesOut({effect, egress, destinations}: NonNullable<Step['definition']>, input: unknown): boolean {
	if (effect !== 'read' || egress === true) return true;
	try {
		return (destinations?.(input) ?? []).length > 0;
	} catch {
		return true;
	}
}
