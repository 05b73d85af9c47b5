/** The tool that does nothing, called by an OpenAI Agents agent whose model is two canned responses: no network, nothing durable. */
import {Agent, Runner, setTracingDisabled, tool, Usage} from '@openai/agents';
import {z} from 'zod';

setTracingDisabled(true);

export function openAgents() {
	const noop = tool({
		name: 'noop',
		description: 'Does nothing.',
		parameters: z.object({text: z.string()}),
		execute: async ({text}) => text,
	});
	const model = {
		async getResponse({input}) {
			const asked = typeof input === 'string' ? input : input.find((item) => item.role === 'user')?.content;
			const done = typeof input !== 'string' && input.some((item) => item.type === 'function_call_result');
			const text = String(typeof asked === 'string' ? asked : (asked?.[0]?.text ?? ''));
			return {usage: new Usage(), output: [done ? message(text) : call(text)]};
		},
	};
	const agent = new Agent({name: 'bench', instructions: 'Call the tool.', model, tools: [noop]});
	const runner = new Runner({tracingDisabled: true});
	return {
		async act(text) {
			const {finalOutput} = await runner.run(agent, text);
			if (finalOutput !== text) throw new Error(`OpenAI Agents returned ${finalOutput}`);
		},
		close() {},
	};
}

const call = (text) => ({
	type: 'function_call',
	callId: 'c1',
	name: 'noop',
	status: 'completed',
	arguments: JSON.stringify({text}),
});
const message = (text) => ({type: 'message', role: 'assistant', status: 'completed', content: [{type: 'output_text', text}]});
