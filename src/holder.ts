/** What a server calls itself where it holds runs, so that others of its machine can tell whether it still lives. */
import {randomUUID} from 'node:crypto';
import {readFileSync, readlinkSync} from 'node:fs';
import {isAlive, readIdentity} from '#sandbox/process-identity.ts';

/** A name no other has, in this process neither. Where processes cannot be told apart it says nothing more. */
export function nameHolder(): string {
	const here = placeOfProcesses();
	if (here === null) return `writ-${randomUUID()}`;
	const {pid, startedAt} = readIdentity('self');
	return ['writ', here, pid, startedAt, randomUUID().slice(0, 8)].join('/');
}

/** False for whoever may live: on another machine, before this one started, in another container. */
export function isGone(holder: string): boolean {
	const [, here, pid, startedAt] = holder.split('/');
	if (startedAt === undefined || here !== placeOfProcesses()) return false;
	return !isAlive({pid: Number(pid), startedAt: Number(startedAt)});
}

/** Within it a process id means one process: a start of a machine, and a name space of its processes. */
function placeOfProcesses(): string | null {
	try {
		const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
		return `${boot}:${/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0]}`;
	} catch {
		return null; // no Linux
	}
}
