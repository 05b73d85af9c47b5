/** Control groups: the only limits that hold for a whole tree of processes. Version 1, version 2 and delegated version 2. */
import {accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {SandboxLimits} from '#contract/sandbox.ts';
import {isAlive, type ProcessIdentity, readIdentity} from '../process-identity.ts';

/** What a group can limit. `usage` is processor time used. */
type Controller = 'memory' | 'cpu' | 'pids' | 'usage';

/** Where groups may be made. `parents` maps each controller that we may use to the directory that will hold its groups. */
export type CgroupHost = {
	readonly version: 1 | 2;
	readonly parents: Readonly<Partial<Record<Controller, string>>>;
};

/** One sandbox's group. Version 1 has one directory per controller, version 2 one for all. */
export type Group = {
	/** files that take a process id: a process that writes itself into all of them is inside, and so is all it starts */
	readonly joinFiles: readonly string[];
	readonly limits: ReadonlySet<Controller>;
	usage(): {cpuMs: number | null; peakMemoryBytes: number | null};
	/** Memory of its processes now, without scratch and without files. */
	processBytes(): number;
	/** Limits that were run into. */
	exceeded(): readonly ('memoryBytes' | 'processes')[];
	/** From now on it takes the processors that nobody else wants. */
	yieldProcessors(): void;
	/** Kills every process inside. */
	kill(): void;
	/** Resolves when the group is gone. Kills what is still inside. */
	remove(): Promise<void>;
};

/** bubblewrap's two processes stay in the group beside the runner. */
const OWN_PROCESSES = 2;
const PERIOD_US = 100_000;
const PREFIX = 'writ-';

/** Finds where this process may make groups, or says why it may not. Reads only what the kernel says, changes nothing but delegation. */
export function findCgroups(root = '/sys/fs/cgroup', self = '/proc/self/cgroup'): CgroupHost | {readonly none: string} {
	const own = readOwnGroups(self);
	const unified = own.get('');
	if (existsSync(join(root, 'cgroup.controllers')) && unified !== undefined) return delegated(join(root, unified));
	const parents: Partial<Record<Controller, string>> = {};
	const hierarchies = {memory: 'memory', cpu: 'cpu', pids: 'pids', usage: 'cpuacct'} as const;
	for (const [controller, hierarchy] of Object.entries(hierarchies)) {
		const path = own.get(hierarchy);
		const parent = path === undefined ? undefined : nearest(join(root, hierarchy), path);
		if (parent && isWritable(parent)) parents[controller as Controller] = parent;
	}
	if (Object.keys(parents).length === 0) return {none: `${root} has no control group that this user may divide`};
	return {version: 1, parents};
}

/** Removes the groups of owners that died without cleaning up, with all that still runs in them. */
export async function sweepGroups(host: CgroupHost): Promise<number> {
	const stale = new Map<string, string[]>();
	for (const parent of new Set(Object.values(host.parents)))
		for (const name of readdirSync(parent)) if (isOrphan(name)) stale.set(name, [...(stale.get(name) ?? []), join(parent, name)]);
	await Promise.all([...stale.values()].map(removeAll));
	return stale.size;
}

/** Makes the group of one sandbox, limited before anything is in it. */
export function createGroup(host: CgroupHost, serial: number, limits: SandboxLimits): Group {
	const {pid, startedAt} = readIdentity('self');
	const name = `${PREFIX}${pid}-${startedAt}-${serial}`;
	const directories = Object.fromEntries(
		Object.entries(host.parents).map(([controller, parent]) => [controller, join(parent, name)]),
	) as Partial<Record<Controller, string>>;
	const all = [...new Set(Object.values(directories))];
	const made: string[] = [];
	try {
		for (const directory of all) {
			mkdirSync(directory);
			made.push(directory);
		}
		for (const [file, value] of settings(host.version, directories, limits)) writeFileSync(file, value);
	} catch (error) {
		for (const directory of made) rmdirSync(directory);
		throw error;
	}
	return {
		joinFiles: all.map((directory) => join(directory, 'cgroup.procs')),
		limits: new Set(Object.keys(directories) as Controller[]),
		usage: () => readUsage(host.version, directories),
		processBytes: () => readProcessBytes(host.version, directories),
		exceeded: () => readExceeded(host.version, directories),
		yieldProcessors: () => weigh(host.version, directories, 'little'),
		kill() {
			weigh(host.version, directories, 'usual'); // dying takes a processor too
			killAll(all);
		},
		remove: () => removeAll(all),
	};
}

/** The group that somebody else made for the process `pid`, to be read and nothing more. Undefined where it cannot be. */
export function groupOf(pid: number, root = '/sys/fs/cgroup'): Pick<Group, 'usage' | 'processBytes' | 'exceeded'> | undefined {
	const own = readOwnGroups(`/proc/${pid}/cgroup`);
	const version = existsSync(join(root, 'cgroup.controllers')) ? 2 : 1;
	const hierarchies = {memory: 'memory', pids: 'pids', usage: 'cpuacct'} as const;
	const found = Object.entries(hierarchies).map(([controller, hierarchy]) => {
		const [at, path] = version === 2 ? [root, own.get('')] : [join(root, hierarchy), own.get(hierarchy)];
		// The root's own group holds everything: it would say nothing about one process.
		return [controller, path && path !== '/' && existsSync(join(at, path)) ? join(at, path) : undefined];
	});
	const directories: Directories = Object.fromEntries(found);
	if (directories.memory === undefined) return undefined;
	return {
		usage: () => readUsage(version, directories),
		processBytes: () => readProcessBytes(version, directories),
		exceeded: () => readExceeded(version, directories),
	};
}

type Directories = Readonly<Partial<Record<Controller, string>>>;

/**
 * Scratch is memory too: the group holds both, and supervise.ts watches that the processes alone stay below theirs.
 */
function settings(version: 1 | 2, {memory, cpu, pids}: Directories, limits: SandboxLimits): [file: string, value: string][] {
	const bytes = String(limits.memoryBytes + limits.scratchBytes);
	const quota = Math.max(1_000, Math.round(limits.cpus * PERIOD_US));
	const tasks = String(limits.processes + OWN_PROCESSES);
	const files: [string, string][] = [];
	if (pids) files.push([join(pids, 'pids.max'), tasks]);
	if (version === 2) {
		if (memory) files.push([join(memory, 'memory.max'), bytes]);
		if (memory) files.push(...optional(join(memory, 'memory.swap.max'), '0'), ...optional(join(memory, 'memory.oom.group'), '1'));
		if (cpu) files.push([join(cpu, 'cpu.max'), `${quota} ${PERIOD_US}`]);
		return files;
	}
	if (memory) files.push([join(memory, 'memory.limit_in_bytes'), bytes]);
	if (memory)
		files.push(
			...optional(join(memory, 'memory.memsw.limit_in_bytes'), bytes),
			...optional(join(memory, 'memory.swappiness'), '0'),
		);
	if (cpu) files.push([join(cpu, 'cpu.cfs_period_us'), String(PERIOD_US)], [join(cpu, 'cpu.cfs_quota_us'), String(quota)]);
	return files;
}

/** A sixteenth of the usual share, so that the platform answers while sandboxes work. Starting is not their work: somebody waits for it. */
const WEIGHTS = {
	1: {file: 'cpu.shares', usual: '1024', little: '64'},
	2: {file: 'cpu.weight', usual: '100', little: '6'},
} as const;

function weigh(version: 1 | 2, {cpu}: Directories, weight: 'usual' | 'little'): void {
	const of = WEIGHTS[version];
	if (cpu) for (const [file, value] of optional(join(cpu, of.file), of[weight])) writeFileSync(file, value);
}

/** Kernels without swap accounting lack the file, and then there is no swap to limit by group. */
function optional(file: string, value: string): [string, string][] {
	return existsSync(file) ? [[file, value]] : [];
}

function readUsage(version: 1 | 2, {memory, usage}: Directories): {cpuMs: number | null; peakMemoryBytes: number | null} {
	const peakMemoryBytes = memory ? readNumber(join(memory, version === 2 ? 'memory.peak' : 'memory.max_usage_in_bytes')) : null;
	if (!usage) return {cpuMs: null, peakMemoryBytes};
	if (version === 2) return {cpuMs: readField(join(usage, 'cpu.stat'), 'usage_usec') / 1e3, peakMemoryBytes};
	return {cpuMs: readNumber(join(usage, 'cpuacct.usage'), 1e-6), peakMemoryBytes};
}

function readProcessBytes(version: 1 | 2, {memory}: Directories): number {
	return memory ? readField(join(memory, 'memory.stat'), version === 2 ? 'anon' : 'rss') : 0;
}

function readExceeded(version: 1 | 2, {memory, pids}: Directories): ('memoryBytes' | 'processes')[] {
	const kills = memory && readField(join(memory, version === 2 ? 'memory.events' : 'memory.oom_control'), 'oom_kill');
	const refused = pids && readField(join(pids, 'pids.events'), 'max');
	return [...(kills ? (['memoryBytes'] as const) : []), ...(refused ? (['processes'] as const) : [])];
}

function readNumber(file: string, scale = 1): number | null {
	const text = unlessGone(() => readFileSync(file, 'utf8'));
	return text === null ? null : Number(text) * scale;
}

function readField(file: string, name: string): number {
	const line = unlessGone(() => readFileSync(file, 'utf8'))
		?.split('\n')
		.find((each) => each.startsWith(`${name} `));
	return Number(line?.slice(name.length + 1) ?? 0);
}

function killAll(directories: readonly string[]): void {
	for (const directory of directories) {
		const file = join(directory, 'cgroup.kill');
		if (existsSync(file)) unlessGone(() => writeFileSync(file, '1'));
		else for (const pid of members(directory)) signalQuietly(pid);
	}
}

function members(directory: string): number[] {
	// A process of another namespace is listed as 0, which `kill` would take for ourselves.
	const lines = unlessGone(() => readFileSync(join(directory, 'cgroup.procs'), 'utf8'))?.split('\n') ?? [];
	return lines.map(Number).filter((pid) => pid > 1);
}

/** Null for a file of a group that is not there, or was removed while it was open: another server sweeps the same orphans. */
function unlessGone<T>(act: () => T): T | null {
	try {
		return act();
	} catch (error) {
		if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
		throw error;
	}
}

/** It may have ended since it was listed. */
function signalQuietly(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}

/** A group can be removed a moment after its last process was reaped; the kernel sends no notice of that. */
async function removeAll(directories: readonly string[]): Promise<void> {
	for (let waited = 1; ; waited = Math.min(waited * 2, 50)) {
		const left = directories.filter((directory) => !removeQuietly(directory));
		if (left.length === 0) return;
		killAll(left);
		await delay(waited);
	}
}

function removeQuietly(directory: string): boolean {
	try {
		rmdirSync(directory);
		return true;
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code === 'ENOENT') return true;
		if (code === 'EBUSY') return false;
		throw error;
	}
}

function isOrphan(name: string): boolean {
	if (!name.startsWith(PREFIX)) return false;
	const [pid, startedAt] = name.slice(PREFIX.length).split('-').map(Number);
	if (!(pid && startedAt)) return false;
	return !isAlive({pid, startedAt} satisfies ProcessIdentity);
}

/** `/proc/self/cgroup`: one line per hierarchy, `id:controllers:path`; the unified one has no controllers. */
function readOwnGroups(file: string): Map<string, string> {
	const groups = new Map<string, string>();
	if (!existsSync(file)) return groups;
	for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
		const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
		for (const controller of controllers.split(',')) groups.set(controller, path);
	}
	return groups;
}

/** Inside a container the path may be the host's, and not exist here: the mounted root is then our own group. */
function nearest(hierarchy: string, path: string): string | undefined {
	if (existsSync(join(hierarchy, path))) return join(hierarchy, path);
	return existsSync(hierarchy) ? hierarchy : undefined;
}

function isWritable(directory: string): boolean {
	try {
		accessSync(directory, constants.W_OK);
		return readFileSync('/proc/self/mounts', 'utf8').includes('cgroup');
	} catch {
		// not ours: the caller reports that there is none
		return false;
	}
}

/**
 * Version 2 forbids processes beside child groups, so we move ourselves to a leaf first: allowed only where our group was delegated
 * to us and holds nobody else (systemd: `Delegate=yes`, or `systemd-run --user --scope -p Delegate=yes`).
 */
function delegated(own: string): CgroupHost | {readonly none: string} {
	const wanted = {memory: 'memory', cpu: 'cpu', pids: 'pids', usage: 'cpu'} as const;
	if (!isWritable(own)) return {none: `control group ${own} is not delegated to this user`};
	const parent = own.endsWith('/writ-host') ? join(own, '..') : own;
	try {
		if (parent === own) {
			mkdirSync(join(own, 'writ-host'), {recursive: true});
			writeFileSync(join(own, 'writ-host', 'cgroup.procs'), String(process.pid));
		}
		const offered = readFileSync(join(parent, 'cgroup.controllers'), 'utf8').trim().split(' ');
		const usable = ['memory', 'cpu', 'pids'].filter((controller) => offered.includes(controller));
		writeFileSync(join(parent, 'cgroup.subtree_control'), usable.map((controller) => `+${controller}`).join(' '));
		const entries = Object.entries(wanted).filter(([, controller]) => usable.includes(controller));
		if (entries.length === 0) return {none: `control group ${parent} offers no memory, cpu or pids controller`};
		return {version: 2, parents: Object.fromEntries(entries.map(([controller]) => [controller, parent]))};
	} catch (error) {
		return {none: `control group ${parent} could not be divided: ${(error as Error).message}`};
	}
}
