import type {Event} from '#contract/event.ts';

/**
 * A fold over the events of a run that goes on where it ended, for every gate of every action asks, and a run only grows. Events that
 * were taken back and linked anew are noticed by the last that was folded; then it begins again. The state is the fold's own.
 */
export function createFold<State>(
	begin: () => State,
	add: (state: State, event: Event) => void,
): (events: readonly Event[]) => Readonly<State> {
	type Fold = {readonly state: State; count: number; last: Event | undefined};
	const folds = new WeakMap<readonly Event[], Fold>();
	return (events) => {
		const past = folds.get(events);
		const fold: Fold = past && events[past.count - 1] === past.last ? past : {state: begin(), count: 0, last: undefined};
		if (fold !== past) folds.set(events, fold);
		for (; fold.count < events.length; fold.count += 1) add(fold.state, events[fold.count] as Event);
		fold.last = events[fold.count - 1];
		return fold.state;
	};
}
