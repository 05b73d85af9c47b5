import {codeTool, toOutput} from './code.ts';
import {type Working, work} from './work.ts';

export function createShellTool(room: Working) {
	return codeTool(room, {
		name: 'code.shell',
		title: 'Run a shell script',
		description:
			'Runs a shell script with the core utilities in a sandbox, without a network unless policy opens one, and returns its exit code and output. `writ call TOOL JSON` proposes another tool.',
		async run({code, files, artifacts, network = 'none'}, world) {
			const request = {kind: 'shell', script: code, tools: true, maxBytes: room.maxBytes} as const;
			return toOutput(null, await work({files, artifacts, request, spec: {runner: 'shell', network}}, world, room));
		},
	});
}
