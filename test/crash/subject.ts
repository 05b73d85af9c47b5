/**
 * The process that is killed: a whole platform, without a listening server, that lives one scenario (`live NAME`), or comes back after
 * a crash and puts things in order (`recover`), or does that and is examined (`examine`, with a report on standard output).
 */
import {appendFileSync, rmSync, writeFileSync} from 'node:fs';
import {setTimeout as pause} from 'node:timers/promises';
import {loadConfig} from '#config/config.ts';
import {type Started, start} from '../../src/serve.ts';
import {examine} from './examine.ts';
import {type Accepted, SCENARIOS, type Stage} from './scenarios.ts';

const [doing = '', name = ''] = process.argv.slice(2);
const {KILL_WHEN = '', CRASH_ACCEPTED = '', CRASH_EFFECTS = '', WRIT_DATA_DIR = ''} = process.env;
const PATIENCE_MS = 60_000;

if (doing !== 'live') writeFileSync(KILL_WHEN, ''); // what a start puts in order counts
const started = await start(loadConfig({file: null}), 'silent');
countEffects(started);
const stage: Stage = {
	started,
	dataDir: WRIT_DATA_DIR,
	arm: () => writeFileSync(KILL_WHEN, ''),
	accept: (promise: Accepted) => appendFileSync(CRASH_ACCEPTED, `${JSON.stringify(promise)}\n`),
	advance: (globalThis as unknown as {advanceClock: (ms: number) => void}).advanceClock,
	tend: () => tend(started),
	async until(look) {
		for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await pause(5)) {
			const found = await look();
			if (found !== undefined) return found;
		}
		throw new Error('what was waited for did not come');
	},
};

if (doing === 'live') {
	const scenario = SCENARIOS.find((each) => each.name === name);
	if (!scenario) throw new Error(`there is no scenario \`${name}\``);
	await scenario.live(stage);
} else {
	await stage.tend();
	rmSync(KILL_WHEN); // what the examination writes is none of theirs
}
if (doing === 'examine')
	process.stdout.write(`${JSON.stringify(await examine(stage, {accepted: CRASH_ACCEPTED, effects: CRASH_EFFECTS}))}\n`);
await started.server.stop();
await started.platform.close();

/** Each time a tool begins, in a file that no crash of this process takes back. */
function countEffects({platform: {kernel, store}}: Started): void {
	for (const tool of kernel.tools.values()) {
		const counted = tool as {run: typeof tool.run};
		const {run} = tool;
		counted.run = async (input, world) => {
			const {runId, actionId} = world.permit;
			const events = await store.read(runId);
			const intended = events.some(({type, data}) => type === 'action.intent' && data.actionId === actionId);
			appendFileSync(CRASH_EFFECTS, `${JSON.stringify({runId, actionId, intended})}\n`);
			return run(input, world);
		};
	}
}

/** What `serve` does all the time. */
async function tend({platform, approving}: Started): Promise<void> {
	while ((await platform.runs.recover((run) => platform.analyst.recover(run))) > 0);
	await approving.escalate();
	const fault = await platform.serverLog.sync();
	if (fault !== null) throw new Error(fault);
}
