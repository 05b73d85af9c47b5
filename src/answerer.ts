import type {Answerer} from '#analyst/turn.ts';
import type {Config} from '#config/config.ts';
import {WritError} from '#contract/errors.ts';
import type {Model} from '#models/model.ts';
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
	return async (turn) => {
		const error = parts.limitsMoney() ? unpriced(model)?.toJSON() : undefined;
		if (error)
			return {
				text: `The language model was asked nothing: ${error.message}. You can ${error.hint}.`,
				suggestions: [],
				outcome: null,
				error,
			};
		return (await import('#analyst/agent.ts')).createModelAnswerer(options)(turn);
	};
}

/** Why a limit in money cannot be kept with this model; null when it can. */
export function unpriced({id, price}: Model): WritError | null {
	if (price) return null;
	return new WritError('invalid_config', `the policy limits money, and the price of the model \`${id}\` is not known`, {
		hint: 'set WRIT_MODEL_PRICE to its US dollars for a million tokens in and out, such as `0.15,0.6`, or take the limit out',
		details: {model: id},
	});
}

/** Loaded with the first question too. */
function plannerAnswerer({store}: Parts): Answerer {
	return async (turn) => (await import('#analyst/planner/answer.ts')).createPlannerAnswerer({store})(turn);
}
