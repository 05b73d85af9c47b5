import type {TurnEvent} from '#contract/stream.ts';
import type {Redactor} from '#kernel/ports.ts';

/** What a model says in one turn on its way to watchers, in whole words: a secret cut in two by the stream would not be recognised. */
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
			const cut = all.search(/\s\S*$/) + 1;
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
