/** The command line of one bubblewrap sandbox, as data. Whatever is not named here does not exist inside. */
import {lstatSync, readlinkSync} from 'node:fs';
import type {SandboxLimits} from '#contract/sandbox.ts';
import type {Mount} from '../runtime.ts';

/** The id that everything inside runs as. Which id of the host it stands for is in host-identity.ts. */
export const INSIDE_ID = 65_534;

/** Descriptors that bubblewrap closes before the runner starts. The first two it reads. */
export const ARGUMENTS_FD = 4;
export const SECCOMP_FD = 5;
/** Where it says which process is the first of the sandbox, before that one does anything. */
export const INFO_FD = 6;

export const NAMESPACES = ['user', 'mount', 'pid', 'net', 'ipc', 'uts', 'cgroup'];

type Plan = {
	readonly mounts: readonly Mount[];
	/** the only directory of the host that can be written, at `/out` */
	readonly output: string | undefined;
	/** holds a file system that is to be the scratch; without it bubblewrap makes one */
	readonly stage: {readonly directory: string} | undefined;
	readonly environment: Readonly<Record<string, string>>;
	readonly limits: SandboxLimits;
	readonly seccomp: boolean;
};

/**
 * What bubblewrap is told by descriptor rather than on its command line, where the paths could be read by others.
 * There is no `/proc` and no `/sys`: the runners need neither, and each is a way to learn about the host.
 */
export function bubblewrapArguments({mounts, output, stage, environment, limits, seccomp}: Plan): Buffer {
	const id = String(INSIDE_ID);
	const {links, directories} = systemLinks();
	const options = [
		...['--unshare-all', '--unshare-user', '--disable-userns', '--die-with-parent', '--new-session', '--clearenv'],
		...['--cap-drop', 'ALL', '--uid', id, '--gid', id, '--hostname', 'sandbox'],
		...Object.entries(links).flatMap(([name, target]) => ['--symlink', target, `/${name}`]),
		// Before the mounts: one of them may have its home below the host's own /tmp.
		...(stage
			? ['--bind', `${stage.directory}/scratch`, '/tmp']
			: ['--perms', '0700', '--size', String(limits.scratchBytes), '--tmpfs', '/tmp']),
		...[...directories, ...mounts].flatMap(({source, target}) => ['--ro-bind', source, target]),
		...DEVICES.flatMap((device) => ['--dev-bind', device, device]),
		...(output === undefined ? [] : ['--bind', output, '/out']),
		...['--remount-ro', '/', '--chdir', '/tmp'],
		...Object.entries({...ENVIRONMENT, ...environment}).flatMap(([name, value]) => ['--setenv', name, value]),
		...['--info-fd', String(INFO_FD)],
		...(seccomp ? ['--seccomp', String(SECCOMP_FD)] : []),
	];
	return Buffer.from(`${options.join('\0')}\0`);
}

export const DEVICES = ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom'];

/** What every program inside finds in its environment, whatever isolates it. */
export const ENVIRONMENT = {HOME: '/tmp', TMPDIR: '/tmp', PATH: '/usr/bin', LANG: 'C.UTF-8', TZ: 'UTC'};

/** Where the host keeps its libraries in `/usr` and links to them, the loader's path is such a link too. Elsewhere they are directories. */
export function systemLinks(): {links: Readonly<Record<string, string>>; directories: readonly Mount[]} {
	const names = ['lib', 'lib64'].flatMap((name) => {
		const kind = lstatSync(`/${name}`, {throwIfNoEntry: false});
		return kind ? [{name, isLink: kind.isSymbolicLink()}] : [];
	});
	return {
		links: Object.fromEntries(names.filter(({isLink}) => isLink).map(({name}) => [name, readlinkSync(`/${name}`)])),
		directories: names.filter(({isLink}) => !isLink).map(({name}) => ({source: `/${name}`, target: `/${name}`})),
	};
}
