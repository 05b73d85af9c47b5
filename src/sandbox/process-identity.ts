import {readFileSync} from 'node:fs';

/** A process id alone is reused; with the time it started (in clock ticks since boot) it names one process for good. */
export type ProcessIdentity = {readonly pid: number; readonly startedAt: number};

const START_TIME_FIELD = 19;

export function readIdentity(pid: number | 'self'): ProcessIdentity {
	const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
	// The command may contain spaces and parentheses; the fields we want follow its last parenthesis.
	const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	return {pid: Number.parseInt(stat, 10), startedAt: Number(fields[START_TIME_FIELD])};
}

export function isAlive({pid, startedAt}: ProcessIdentity): boolean {
	try {
		return readIdentity(pid).startedAt === startedAt;
	} catch (error) {
		if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
		throw error;
	}
}
