/** One governed action with a tool that does nothing, on a store in memory: the price of the path itself. Baseline: the tool, called. */
import {openMemory} from '#store/memory.ts';
import {figure, report, timed} from './harness.ts';
import {createAgent, noop} from './noop-kernel.ts';

const TARGET_MS = 0.07;

await report(async ({quick}) => {
	const [warmUp, runs] = quick ? [2_000, 3_000] : [4_000, 10_000];
	const agent = createAgent(openMemory);
	const [samples, baseline]: [number[], number[]] = [[], []];
	for (let run = -warmUp; run < runs; run += 1) {
		await agent.prepare();
		const governed = await timed(agent.act);
		const bare = await timed(() => noop.run(noop.input.parse({text: `hello ${run}`}), {} as never));
		if (run < 0) continue;
		samples.push(governed);
		baseline.push(bare);
	}
	return [figure({name: 'governed action in memory', unit: 'ms', samples, baseline, target: {of: 'p50', atMost: TARGET_MS}})];
});
