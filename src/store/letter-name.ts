import type {Letters} from '#kernel/letters.ts';

/** The name that is called out when there are letters; no run has it. */
export const LETTERS = 'letters';

/** Of a store that one process has for itself: whoever holds a run is here. */
export const NO_LETTERS: Letters = {
	send: async () => {},
	waiting: async () => [],
	take: async () => true,
	reply: async () => {},
	replyTo: async () => null,
	discard: async () => {},
	listen: () => () => {},
};
