import type {Answerer} from '#analyst/turn.ts';
import type {Config} from '#config/config.ts';

export function createAnswerer(_config: Config, _parts: unknown): Answerer {
	return async () => ({text: 'I cannot answer that yet.', suggestions: [], outcome: null, error: null});
}
