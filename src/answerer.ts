import {createModelAnswerer} from '#analyst/agent.ts';
import type {Answerer} from '#analyst/turn.ts';
import type {Config} from '#config/config.ts';
import {createModel} from '#models/providers.ts';
import type {PlatformOptions} from './platform.ts';

/** Who answers questions: the configured model, or without one the built-in planner. */
export function createAnswerer(config: Config, parts: Parameters<PlatformOptions['answerer']>[0]): Answerer {
	const model = createModel(config.models);
	if (!model) return async () => ({text: 'I cannot answer that yet.', suggestions: [], outcome: null, error: null});
	const {agent, limits} = config;
	return createModelAnswerer({
		...parts,
		model,
		historyWindow: agent.historyWindow,
		pythonEnabled: limits.enablePython,
		maxRows: limits.maxRows,
	});
}
