import type {Event, EventData} from '#contract/event.ts';
import {DESCRIBE} from './discover.ts';

/** The last action that an agent began its turn with: to look at the dataset, before its model was asked anything. */
export function lookOf(events: readonly Event[]): EventData<'action.proposed'> | null {
	const heard = events.findIndex(({type}) => type === 'model.responded');
	const before = heard < 0 ? events : events.slice(0, heard);
	return before.flatMap((event) => (isLook(event) ? [event.data] : [])).at(-1) ?? null;
}

/** What a run was to do, oldest first, without its looks; what code in a sandbox called for ended with that code. */
export function tasksOf(events: readonly Event[], mode: string): readonly EventData<'action.proposed'>[] {
	const heard = events.findIndex(({type}) => type === 'model.responded');
	return events.flatMap((event, index) => {
		if (event.type !== 'action.proposed' || event.data.parentActionId !== undefined) return [];
		const isOpening = mode === 'chat' && isLook(event) && (heard < 0 || index < heard);
		return isOpening ? [] : [event.data];
	});
}

function isLook(event: Event): event is Extract<Event, {type: 'action.proposed'}> {
	return event.type === 'action.proposed' && event.data.parentActionId === undefined && event.data.tool === DESCRIBE;
}
