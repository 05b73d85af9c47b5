/** The tool that does nothing, as a LangGraph.js graph with its SQLite checkpointer, as durable as Writ's store. */
import {tool} from '@langchain/core/tools';
import {Annotation, END, START, StateGraph} from '@langchain/langgraph';
import {SqliteSaver} from '@langchain/langgraph-checkpoint-sqlite';
import Database from 'better-sqlite3';
import {z} from 'zod';

/** Opens the graph; `act` runs the tool once, in a thread of its own, and resolves when its checkpoints are on disk. */
export function openLangGraph(file) {
	const database = new Database(file);
	const saver = new SqliteSaver(database);
	saver.setup();
	database.pragma('synchronous = FULL'); // the default of this build in WAL mode does not wait for the disk
	const noop = tool(async ({text}) => text, {name: 'noop', description: 'Does nothing.', schema: z.object({text: z.string()})});
	const graph = new StateGraph(Annotation.Root({text: Annotation(), result: Annotation()}))
		.addNode('tool', async ({text}) => ({result: await noop.invoke({text})}))
		.addEdge(START, 'tool')
		.addEdge('tool', END)
		.compile({checkpointer: saver});
	let thread = 0;
	return {
		async act(text) {
			thread += 1;
			const {result} = await graph.invoke({text}, {configurable: {thread_id: `t${thread}`}, durability: 'sync'});
			if (result !== text) throw new Error(`LangGraph returned ${result}`);
		},
		close: () => database.close(),
	};
}
