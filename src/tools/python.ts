import type {Json} from '#contract/json.ts';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {codeTool, toOutput} from './code.ts';
import {type Working, work} from './work.ts';

export function createPythonTool(room: Working) {
	return codeTool(room, {
		name: 'code.python',
		title: 'Run Python',
		description:
			'Runs Python with pandas as pd and numpy as np in a sandbox, without a network unless policy opens one. Its result is what it assigns to `result` or its last expression, as a table. `writ.call(tool, input)` proposes another tool.',
		async run({code, files, artifacts, network = 'none'}, world) {
			const {maxRows, maxBytes} = room;
			const request: RunnerRequest = {kind: 'python', views: [], code, tools: true, maxRows, maxBytes};
			const worked = await work({files, artifacts, request, spec: {runner: 'python', network}}, world, room);
			const columns = worked.frames.flatMap((frame) => (frame.type === 'columns' ? frame.columns : []));
			const rows = worked.frames.flatMap((frame) => (frame.type === 'rows' ? frame.rows : [])) as Json[][];
			return toOutput({columns, rows}, worked);
		},
	});
}
