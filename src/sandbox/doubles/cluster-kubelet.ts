/**
 * Runs the containers of a pod as local processes, in a view of the file system like a container's: the image's files, the volumes,
 * and nothing else. It limits and confines next to nothing, and proves nothing about isolation.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {chmod, mkdir, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Readable, Writable} from 'node:stream';
import {killGroup} from '../process/launch.ts';
import type {Mount} from '../runtime.ts';
import type {KubernetesObject} from './cluster-store.ts';

/** A process inside a container: the container's own, or one that was executed there. */
export type ContainerProcess = {
	readonly stdin: Writable;
	readonly stdout: Readable;
	readonly stderr: Readable;
	/** exit code, once all output was read */
	readonly exited: Promise<number>;
	signal(name: 'SIGTERM' | 'SIGKILL'): void;
};

export type Node = {
	start(pod: KubernetesObject, container: string, command?: readonly string[]): Promise<ContainerProcess>;
	/** removes the volumes of a pod */
	forget(pod: KubernetesObject): Promise<void>;
	close(): Promise<void>;
};

export type NodeOptions = {
	/** files of the images, by name */
	readonly images: Readonly<Record<string, readonly Mount[]>>;
	/** directories of persistent volume claims, by name */
	readonly claims: Readonly<Record<string, string>>;
};

const BWRAP = '/usr/bin/bwrap';

/** Why pods cannot be run on this machine, if so. */
export function whyNoNode(): string | false {
	return existsSync(BWRAP) ? false : 'bubblewrap is not installed, which the double of a cluster runs its pods with';
}

export async function createNode({images, claims}: NodeOptions): Promise<Node> {
	const root = await mkdtemp(join(tmpdir(), 'writ-node-'));
	const directoryOf = (pod: KubernetesObject) => join(root, pod.metadata.uid);
	return {
		async start(pod, container, command) {
			const view = await viewOf(pod, container, directoryOf(pod), {images, claims});
			const found = containerOf(pod, container);
			return launch([...view, '--', ...(command ?? found.command)]);
		},
		forget: (pod) => rm(directoryOf(pod), {recursive: true, force: true}),
		close: () => rm(root, {recursive: true, force: true}),
	};
}

type Container = {
	name: string;
	image: string;
	imagePullPolicy: string;
	command: string[];
	workingDir?: string;
	volumeMounts: {name: string; mountPath: string; readOnly?: boolean; subPath?: string}[];
};

export function containerOf(pod: KubernetesObject, name: string): Container {
	const containers: Container[] = pod.spec.containers;
	const found = containers.find((each) => each.name === name);
	if (!found) throw new Error(`no container ${name}`);
	return found;
}

type Volume = {name: string; persistentVolumeClaim?: {claimName: string}};

async function viewOf(pod: KubernetesObject, name: string, directory: string, {images, claims}: NodeOptions): Promise<string[]> {
	const {image, volumeMounts, workingDir = '/'} = containerOf(pod, name);
	const volumes: Volume[] = pod.spec.volumes;
	const mounts = await Promise.all(
		volumeMounts.map(async ({name: volumeName, mountPath, readOnly, subPath = ''}) => {
			const claim = volumes.find((each) => each.name === volumeName)?.persistentVolumeClaim;
			const source = claim ? join(claims[claim.claimName] ?? '', subPath) : join(directory, volumeName, subPath);
			if (!claim) {
				await mkdir(source, {recursive: true});
				await chmod(source, 0o777);
			}
			return [readOnly ? '--ro-bind' : '--bind', source, mountPath];
		}),
	);
	const user = ['--uid', String(pod.spec.securityContext.runAsUser), '--gid', String(pod.spec.securityContext.runAsGroup)];
	return [
		...['--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-net', '--as-pid-1', ...user],
		...['--hostname', pod.spec.hostname, '--die-with-parent', '--new-session', '--info-fd', '3', '--clearenv'],
		...[
			'--setenv',
			'PATH',
			'/usr/bin:/bin',
			'--setenv',
			'KUBERNETES_SERVICE_HOST',
			'10.96.0.1',
			'--proc',
			'/proc',
			'--dev',
			'/dev',
		],
		...(images[image] ?? []).flatMap(({source, target}) => ['--ro-bind', source, target]),
		...['--symlink', 'usr/bin', '/bin', '--symlink', 'usr/lib', '/lib', '--symlink', 'usr/lib64', '/lib64'],
		...mounts.flat(),
		...['--remount-ro', '/', '--chdir', workingDir],
	];
}

function launch(args: readonly string[]): ContainerProcess {
	const child: ChildProcess = spawn(BWRAP, args, {detached: true, stdio: ['pipe', 'pipe', 'pipe', 'pipe'], env: {}});
	const [stdin, stdout, stderr, info] = child.stdio as unknown as [Writable, Readable, Readable, Readable];
	const {promise: exited, resolve} = Promise.withResolvers<number>();
	const first: {pid: number | undefined; asked: NodeJS.Signals | undefined} = {pid: undefined, asked: undefined};
	const send = () => first.pid !== undefined && first.asked !== undefined && kill(first.pid, first.asked);
	const said: Buffer[] = [];
	info.on('data', (chunk: Buffer) => {
		said.push(chunk);
		first.pid ??= Number(/"child-pid": (\d+)/.exec(Buffer.concat(said).toString())?.[1]) || undefined;
		send();
	});
	stdin.on('error', () => {});
	child.once('error', () => resolve(128));
	child.once('close', (code, by) => resolve(code ?? (by === 'SIGKILL' ? 137 : 143)));
	return {
		...{stdin, stdout, stderr, exited},
		signal(name) {
			if (name === 'SIGKILL') killGroup(child);
			// To the first process inside, which hears of it only if it asked to: as in a container.
			first.asked = name;
			send();
		},
	};
}

function kill(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(pid, signal);
	} catch {
		// it ended by itself
	}
}
