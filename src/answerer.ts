import type {Answerer} from '#analyst/turn.ts';
import type {Config} from '#config/config.ts';
import {createModel} from '#models/providers.ts';
import type {PlatformOptions} from './platform.ts';

type Parts = Parameters<PlatformOptions['answerer']>[0];

/** Who answers questions: the configured model, or without one the built-in planner. */
export function createAnswerer(config: Config, parts: Parts): Answerer {
	return modelAnswerer(config, parts) ?? notYet;
}

/** Null when no model is configured. The agent is loaded with the first question. */
function modelAnswerer({models, agent, limits}: Config, parts: Parts): Answerer | null {
	const model = createModel(models);
	if (!model) return null;
	const options = {
		...parts,
		model,
		historyWindow: agent.historyWindow,
		pythonEnabled: limits.enablePython,
		maxRows: limits.maxRows,
	};
	return async (turn) => (await import('#analyst/agent.ts')).createModelAnswerer(options)(turn);
}

async function notYet(): ReturnType<Answerer> {
	return {text: 'I cannot answer that yet.', suggestions: [], outcome: null, error: null};
}
