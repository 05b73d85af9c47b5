/** What a battery could leave behind: processes, control groups, mounts, files. */
import {globSync, readdirSync, readFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';

/** Processes anywhere on this machine that were started under this name. */
export function marked(name: string): readonly string[] {
	return processes().filter((pid) => read(`/proc/${pid}/cmdline`).startsWith(name));
}

export type Left = {
	readonly processes: readonly string[];
	readonly groups: readonly string[];
	readonly mounts: readonly string[];
	readonly files: readonly string[];
};

/** All that is ours now: descendants of this process, its control groups, mounts and files of its own. */
export function ours(): Left {
	const parents = new Map(processes().map((pid) => [pid, /\) \S+ (\d+)/.exec(read(`/proc/${pid}/stat`))?.[1] ?? '']));
	const isOurs = (pid: string): boolean =>
		pid !== '' && pid !== '0' && (pid === String(process.pid) || isOurs(parents.get(pid) ?? ''));
	const groups = globSync('/sys/fs/cgroup/{,*/,*/*/}writ-*').filter((name) =>
		path.basename(name).startsWith(`writ-${process.pid}-`),
	);
	return {
		processes: [...parents.keys()]
			.filter((pid) => pid !== String(process.pid) && isOurs(pid))
			.map((pid) => `${pid} ${read(`/proc/${pid}/comm`).trim()}`),
		groups,
		mounts: read('/proc/self/mountinfo')
			.split('\n')
			.filter((line) => line.includes(`writ-attack-${process.pid}-`)),
		files: readdirSync(tmpdir()).filter((name) => name.startsWith(`writ-attack-${process.pid}-`)),
	};
}

export function added(before: Left, after: Left): readonly string[] {
	return (['processes', 'groups', 'mounts', 'files'] as const).flatMap((kind) =>
		after[kind].filter((each) => !before[kind].includes(each)).map((each) => `${kind}: ${each}`),
	);
}

function processes(): readonly string[] {
	return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

function read(file: string): string {
	try {
		return readFileSync(file, 'utf8');
	} catch {
		return ''; // it ended since it was listed
	}
}
