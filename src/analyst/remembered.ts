import type {AnyTool} from '#kernel/tool.ts';

type Tools = ReadonlyMap<string, AnyTool>;

/** What tools returned before, for reads whose result cannot change. Only the work is spared: every gate still decides. */
export class Remembered {
	readonly #most: number;
	readonly #outputs = new Map<string, unknown>();

	constructor(most: number) {
		this.#most = most;
	}

	/** The tools, of which `name` returns what it did when it last ran under `key`. */
	remembering(key: string, name: string, tools: Tools): Tools {
		const tool = tools.get(name);
		if (!tool) return tools;
		const run: AnyTool['run'] = async (input, world) => {
			if (this.#outputs.has(key)) return this.#outputs.get(key) as never;
			const output = await tool.run(input, world);
			if (this.#outputs.size >= this.#most) this.#outputs.clear();
			this.#outputs.set(key, output);
			return output;
		};
		return new Map(tools).set(name, {...tool, run});
	}
}
