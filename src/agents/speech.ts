import type {TurnEvent} from '#contract/stream.ts';
import type {Redactor} from '#kernel/ports.ts';

/**
 * What a model says in one turn on its way to watchers, in whole words, and not before the word after a name that announces a secret: one
 * that the stream cuts in two would not be recognised.
 */
export type Speech = {
	add(text: string): void;
	/** The response broke off: what follows says it again. */
	restart(): void;
	/** The response is complete. */
	end(): void;
};

export function createSpeech(redact: Redactor, emit: (event: TurnEvent) => void): Speech {
	const state = {held: '', speaking: false, before: ''};
	const say = (text: string) => {
		if (text !== '') emit({event: 'token', data: {content: redact(text).value as string}});
	};
	return {
		add(text) {
			if (!state.speaking) {
				emit({event: 'status', data: {stage: 'answering'}});
				say(state.before);
				state.speaking = true;
			}
			const all = state.held + text;
			const cut = endOfSafe(all);
			state.held = all.slice(cut);
			say(all.slice(0, cut));
		},
		restart() {
			if (state.speaking) state.before = ' …\n\n';
			state.held = '';
			state.speaking = false;
		},
		end() {
			say(state.held);
			if (state.speaking) state.before = '\n\n';
			state.held = '';
			state.speaking = false;
		},
	};
}

/** What stands before a secret and tells that it is one. */
const ANNOUNCED =
	/(?:bearer|basic|authorization|(?:token|secret|key|credentials?|passw(?:or)?d|passphrase|pwd)["'`]?|:=|=>|[:=])[\s:=>"'`]*$/i;
const KEY_END = /-----END [^-\n]{0,80}-----/;
const NEARBY = 100;

/** How much of `text` can be said: whole words, none that is announced as a secret with its value still to come, no part of a private key. */
function endOfSafe(text: string): number {
	const words = text.search(/\s\S*$/) + 1;
	const key = text.lastIndexOf('-----BEGIN ');
	const whole = key === -1 || endOfKey(text, key) <= words ? words : Math.min(words, key);
	const before = text.slice(Math.max(0, whole - NEARBY), whole);
	const announced = ANNOUNCED.exec(before);
	return announced ? whole - before.length + startOfWord(before, announced.index) : whole;
}

function endOfKey(text: string, start: number): number {
	const end = KEY_END.exec(text.slice(start));
	return end ? start + end.index + end[0].length : Number.POSITIVE_INFINITY;
}

function startOfWord(text: string, at: number): number {
	return text.slice(0, at).search(/\S*$/);
}
