import type {Json} from '#contract/json.ts';
import {codeTool, toOutput} from './code.ts';
import {type Working, work} from './work.ts';

export function createJavaScriptTool(room: Working) {
	return codeTool(room, {
		name: 'code.javascript',
		title: 'Run JavaScript',
		description:
			'Runs an ES module with Node in a sandbox, without a network unless policy opens one. Its result is its default export, or what it assigns to `result`. `await writ.call(tool, input)` proposes another tool.',
		async run({code, files, artifacts, network = 'none'}, world) {
			const request = {kind: 'javascript', code, tools: true, maxBytes: room.maxBytes} as const;
			const worked = await work({files, artifacts, request, spec: {runner: 'javascript', network}}, world, room);
			const value = worked.frames.find((frame) => frame.type === 'value');
			return toOutput((value?.value ?? null) as Json, worked);
		},
	});
}
