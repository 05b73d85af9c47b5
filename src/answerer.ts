import type {Answerer} from '#analyst/turn.ts';
import type {Config} from '#config/config.ts';
import {createModel} from '#models/providers.ts';
import type {AnswererParts as Parts} from './platform.ts';

/** Who answers questions: the configured model, or without one the built-in planner. */
export function createAnswerer(config: Config, parts: Parts): Answerer {
	return modelAnswerer(config, parts) ?? plannerAnswerer(parts);
}

/** Null when no model is configured. The agent is loaded with the first question. */
function modelAnswerer({models, agent, limits}: Config, parts: Parts): Answerer | null {
	const {resolve} = parts.secrets;
	const keys = {openaiApiKey: resolve(models.openaiApiKey), anthropicApiKey: resolve(models.anthropicApiKey)};
	const model = createModel({...models, ...keys});
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

/** Loaded with the first question too. */
function plannerAnswerer({store}: Parts): Answerer {
	return async (turn) => (await import('#analyst/planner/answer.ts')).createPlannerAnswerer({store})(turn);
}
