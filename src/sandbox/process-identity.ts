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

type FoundProcess = ProcessIdentity & {
	/** it has ended and only its parent has not asked how */
	readonly isDead: boolean;
};

const STATE_FIELD = 0;
const START_TIME_FIELD = 19;

function readProcess(pid: number | 'self'): FoundProcess {
	const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
	// The command may contain spaces and parentheses; the fields we want follow its last parenthesis.
	const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	return {
		pid: Number.parseInt(stat, 10),
		startedAt: Number(fields[START_TIME_FIELD]),
		isDead: ['Z', 'X'].includes(fields[STATE_FIELD] ?? ''),
	};
}
