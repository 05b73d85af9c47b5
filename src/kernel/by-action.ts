import type {Event} from '#contract/event.ts';
import {createFold} from './fold.ts';

/** The events that name an action, in their order. */
export function eventsOf(actionId: string, events: readonly Event[]): readonly Event[] {
	return index(events).byAction.get(actionId) ?? [];
}

/** The actions that the code of an action called for. */
export function callsOf(actionId: string, events: readonly Event[]): readonly string[] {
	return index(events).calls.get(actionId) ?? [];
}

type Index = {readonly byAction: Map<string, Event[]>; readonly calls: Map<string, string[]>};

const index = createFold<Index>(
	() => ({byAction: new Map(), calls: new Map()}),
	({byAction, calls}, event) => {
		if (!('actionId' in event.data)) return;
		const {actionId} = event.data;
		if (typeof actionId !== 'string') return;
		const known = byAction.get(actionId);
		if (known) known.push(event);
		else byAction.set(actionId, [event]);
		if (event.type !== 'action.proposed') return;
		const {parentActionId: parent} = event.data;
		if (parent !== undefined) calls.set(parent, [...(calls.get(parent) ?? []), actionId]);
	},
);
