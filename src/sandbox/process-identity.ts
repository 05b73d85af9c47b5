import {readFileSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';

/** A process id alone is reused; with the time it started (in clock ticks since boot) it names one process for good. */
export type ProcessIdentity = {readonly pid: number; readonly startedAt: number};

export function readIdentity(pid: number | 'self'): ProcessIdentity {
	const {pid: named, startedAt} = readProcess(pid);
	return {pid: named, startedAt};
}

export function isAlive({pid, startedAt}: ProcessIdentity): boolean {
	return findProcess(pid)?.startedAt === startedAt;
}

/**
 * Resolves once a process has died, whether or not anybody asked how. The first process of a process namespace dies after all others
 * in it: the kernel kills them, and waits for them.
 */
export async function untilDead({pid, startedAt}: ProcessIdentity): Promise<void> {
	for (let waited = 1; ; waited = Math.min(waited * 2, 50)) {
		const found = findProcess(pid);
		if (found?.startedAt !== startedAt || found.isDead) return;
		await delay(waited);
	}
}

/** Undefined when there is none, or none any more. */
export function findProcess(pid: number): FoundProcess | undefined {
	try {
		return readProcess(pid);
	} catch (error) {
		if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
		throw error;
	}
}

export type FoundProcess = ProcessIdentity & {
	readonly parent: number;
	/** its own processor time, and that of the children it waited for */
	readonly cpuMs: number;
	readonly childrenCpuMs: number;
	/** it has ended and only its parent has not asked how */
	readonly isDead: boolean;
};

const STATE_FIELD = 0;
const PARENT_FIELD = 1;
/** Its own as user and as system, then that of its children. */
const TIMES_FIELD = 11;
/** Times are given in hundredths of a second, whatever the kernel counts in. */
const TICK_MS = 10;
const START_TIME_FIELD = 19;

function readProcess(pid: number | 'self'): FoundProcess {
	const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
	// The command may contain spaces and parentheses; the fields we want follow its last parenthesis.
	const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields.slice(TIMES_FIELD).map(Number);
	return {
		pid: Number.parseInt(stat, 10),
		parent: Number(fields[PARENT_FIELD]),
		cpuMs: (user + system) * TICK_MS,
		childrenCpuMs: (childrenUser + childrenSystem) * TICK_MS,
		startedAt: Number(fields[START_TIME_FIELD]),
		isDead: ['Z', 'X'].includes(fields[STATE_FIELD] ?? ''),
	};
}
