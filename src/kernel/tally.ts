import type {Event, Principal} from '#contract/event.ts';

/** Who has granted an approval so far, and how many it takes. One rule for all who count. */
export type Tally = {readonly required: number; readonly people: readonly string[]};

/** The human behind an account: accounts of one person are one person. */
export function personOf({id, person}: Pick<Principal, 'id' | 'person'>): string {
	return person ?? id;
}

/** The tally after an event about its approval; undefined before the request. */
export function count(past: Tally | undefined, event: Event): Tally | undefined {
	if (event.type === 'approval.requested') return {required: event.data.required ?? 1, people: []};
	if (!past) return undefined;
	if (event.type === 'approval.granted') {
		const person = personOf(event.data.approver);
		return past.people.includes(person) ? past : {...past, people: [...past.people, person]};
	}
	if (event.type !== 'approval.revoked') return past;
	const {takesBack, approver} = event.data;
	return {...past, people: takesBack === 'all' ? [] : past.people.filter((person) => person !== personOf(approver))};
}

export function isComplete(tally: Tally | undefined): boolean {
	return tally !== undefined && tally.people.length >= tally.required;
}
