/** The processes of a sandbox as the host sees them. Exact for what lives when it is looked at; what came and went between two looks is not seen. */
import {readdirSync, readFileSync, statSync} from 'node:fs';
import {readdir, readFile, stat} from 'node:fs/promises';
import {type FoundProcess, findProcess, type ProcessIdentity} from '../process-identity.ts';

export type Processes = {
	/** Processor time of all, as far as it can be told: of those that live and were waited for, or of all that were ever seen. */
	cpuMs(): number;
	/** Their memory without files, what they share counted once. */
	bytes(): number;
	/** What files take on the disk of `directory` that have no name any more and are open or mapped. */
	namelessBytes(directory: string): Promise<number>;
};

/** `first` is that of the process namespace, who adopts whoever loses a parent; undefined before there is one. */
export function createProcesses(first: () => ProcessIdentity | undefined): Processes {
	const seen = new Map<string, number>();
	const all = () => below(first());
	return {
		cpuMs() {
			const found = all();
			for (const {pid, startedAt, cpuMs} of found) seen.set(`${pid} ${startedAt}`, cpuMs);
			const alive = found.reduce((sum, {cpuMs, childrenCpuMs}) => sum + cpuMs + childrenCpuMs, 0);
			const ever = [...seen.values()].reduce((sum, ms) => sum + ms, 0);
			return Math.max(alive, ever);
		},
		bytes: () => all().reduce((sum, {pid}) => sum + memoryOf(pid), 0),
		namelessBytes: async (directory) => namelessBytes(all(), directory),
	};
}

const SNAPSHOT_MS = 50;
const snapshot: {at: number; children: Map<number, FoundProcess[]>} = {at: Number.NEGATIVE_INFINITY, children: new Map()};

function below(first: ProcessIdentity | undefined): readonly FoundProcess[] {
	const found = first && findProcess(first.pid);
	if (found?.startedAt !== first?.startedAt || !found) return [];
	// All sandboxes look at the same processes.
	if (performance.now() - snapshot.at > SNAPSHOT_MS) {
		const processes = readdirSync('/proc').flatMap((name) => (/^\d/.test(name) ? (findProcess(Number(name)) ?? []) : []));
		snapshot.children = Map.groupBy(processes, ({parent}) => parent);
		snapshot.at = performance.now();
	}
	const tree = [found];
	for (const {pid} of tree) tree.push(...(snapshot.children.get(pid) ?? []));
	return tree;
}

/** Null where the kernel has nothing to say, or does not say it to us. */
function read(path: string): string | null {
	try {
		return readFileSync(path, 'utf8');
	} catch {
		return null; // it ended, or belongs to somebody else: the limits of each process still hold
	}
}

/** What it holds alone, and its part of what it shares: with the zygote it was forked from, for one. */
function memoryOf(pid: number): number {
	const text = read(`/proc/${pid}/smaps_rollup`) ?? '';
	const kilobytes = [...text.matchAll(/^Pss_(?:Anon|Shmem): +(\d+) kB$/gm)].map(([, count]) => Number(count));
	return kilobytes.reduce((sum, each) => sum + each, 0) * 1_024;
}

async function namelessBytes(processes: readonly FoundProcess[], directory: string): Promise<number> {
	const {dev} = statSync(directory);
	const blocks = new Map<number, number>();
	// Threads need not share their descriptors.
	for (const {pid} of processes)
		for (const task of await listed(`/proc/${pid}/task`)) {
			const at = `/proc/${pid}/task/${task}/fd`;
			const maps = `/proc/${pid}/map_files`;
			const open = (await listed(at)).map((name) => `${at}/${name}`);
			const mapped = task === String(pid) ? (await deletedMappings(pid)).map((range) => `${maps}/${range}`) : [];
			for (const path of [...open, ...mapped]) {
				const facts = await stat(path).catch(() => null);
				if (facts?.isFile() && facts.nlink === 0 && facts.dev === dev) blocks.set(facts.ino, facts.blocks);
			}
		}
	return [...blocks.values()].reduce((sum, each) => sum + each, 0) * 512;
}

async function listed(directory: string): Promise<readonly string[]> {
	return readdir(directory).catch(() => []);
}

async function deletedMappings(pid: number): Promise<readonly string[]> {
	const text = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '');
	return [...text.matchAll(/^0*([0-9a-f]+-[0-9a-f]+) .* \(deleted\)$/gm)].map(([, range = '']) => range.replace(/-0+/, '-'));
}
