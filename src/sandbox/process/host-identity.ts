/** Who a sandbox is on the host. A server that runs as root must not lend its own id to what it starts. */
import {readFileSync, type Stats} from 'node:fs';
import {stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import {WritError} from '#contract/errors.ts';

/** Above what distributions, systemd and container engines hand out. */
const FIRST_ID = 1_879_048_192;
const IDS = 65_536;
const NOBODY = 65_534;

/** The id for the sandbox with this number, or undefined when we are an ordinary user and can only be ourselves. */
export function hostId(serial: number): number | undefined {
	if (process.getuid?.() !== 0) return undefined;
	return isMapped(FIRST_ID + IDS) ? FIRST_ID + 1 + ((process.pid * 97 + serial) % (IDS - 1)) : NOBODY;
}

/** The ids of a zygote, as lines of `uid_map` and `gid_map`: 0 is itself and no sandbox, the others are what it may give to its children. */
export function zygoteIds(): {readonly users: string; readonly groups: string} {
	const [uid, gid] = [process.getuid?.() ?? NOBODY, process.getgid?.() ?? NOBODY];
	if (uid !== 0) return {users: `0 ${uid} 1`, groups: `0 ${gid} 1`};
	const ids = isMapped(FIRST_ID + IDS) ? `0 ${FIRST_ID} ${IDS}` : `0 ${NOBODY} 1`;
	return {users: ids, groups: ids};
}

/** What a zygote calls the user `id`. Null where it has no other than itself. */
export function zygoteId(id: number | undefined): number | null {
	return id === undefined || id === NOBODY ? null : id - FIRST_ID;
}

/** In a container, ids beyond its range do not exist. */
function isMapped(id: number): boolean {
	const ranges = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n');
	return ranges.some((range) => {
		const [first = 0, , count = 0] = range.trim().split(/\s+/).map(Number);
		return id >= first && id < first + count;
	});
}

/** True when the user `id` could not reach `path`, because a directory above it is private. Throws if it could not be read once reached. */
export async function isHidden(path: string, id: number): Promise<boolean> {
	const own = await stat(path);
	if (!grants(own, own.isDirectory() ? 0o5 : 0o4, id)) throw unreadable(path);
	for (let above = dirname(path); ; above = dirname(above)) {
		if (!grants(await stat(above), 0o1, id)) return true;
		if (above === dirname(above)) return false;
	}
}

function grants({mode, uid}: Stats, bits: number, id: number): boolean {
	const granted = uid === id ? mode >> 6 : mode;
	return (granted & bits) === bits;
}

function unreadable(path: string): WritError {
	return new WritError('sandbox_unavailable', `the sandbox runs as an unprivileged user, who may not read ${path}`, {
		hint: `run \`chmod o+rX ${path}\``,
	});
}
