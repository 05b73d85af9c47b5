/** Other frameworks for agents, with the same tool, and other sandboxes. They are no dependency: they are installed, without their scripts, when they are measured. */
import {spawnSync} from 'node:child_process';
import {existsSync, readFileSync, statSync} from 'node:fs';
import path from 'node:path';

/** Runs the tool that does nothing once. */
export type Peer = {act(text: string): Promise<void>; close(): void};

const HERE = path.join(import.meta.dirname, 'peers');

/** LangGraph.js with its SQLite checkpointer in `file`, durable as Writ's store is; OpenAI Agents, which keeps nothing. */
export async function openPeers(file: string): Promise<{readonly langGraph: Peer; readonly openaiAgents: Peer}> {
	installPeers();
	const [langGraph, openaiAgents] = await Promise.all([
		import(path.join(HERE, 'langgraph.mjs')) as Promise<{openLangGraph(file: string): Peer}>,
		import(path.join(HERE, 'openai-agents.mjs')) as Promise<{openAgents(): Peer}>,
	]);
	return {langGraph: langGraph.openLangGraph(file), openaiAgents: openaiAgents.openAgents()};
}

/** `@langchain/langgraph 1.7.3`, as it is in the lock file. */
export function versionOf(name: string): string {
	const {version} = JSON.parse(readFileSync(path.join(HERE, 'node_modules', name, 'package.json'), 'utf8')) as {version: string};
	return `${name} ${version}`;
}

export function installPeers(): void {
	const [wanted, installed] = ['package-lock.json', 'node_modules/.package-lock.json'].map((name) => path.join(HERE, name)) as [
		string,
		string,
	];
	if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(wanted).mtimeMs) return;
	process.stderr.write('installing what Writ is compared with …\n');
	const {status} = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
		cwd: HERE,
		stdio: ['ignore', 'inherit', 'inherit'],
	});
	if (status !== 0) throw new Error('what Writ is compared with could not be installed: run `npm ci` in bench/peers');
}
