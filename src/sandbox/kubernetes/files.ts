/** A pod shares no disk with us. Input files go to it before its run and are checked there; what it left in `/out` comes back after. */
import {createHash, type Hash} from 'node:crypto';
import {closeSync, mkdirSync, openSync, writeSync} from 'node:fs';
import {readdir, realpath, stat} from 'node:fs/promises';
import {dirname, join, posix, relative, sep} from 'node:path';
import {WritError} from '#contract/errors.ts';
import type {SandboxSpec} from '#contract/sandbox.ts';
import type {Mount} from '../runtime.ts';
import type {KubernetesApi} from './api.ts';
import {execute} from './streams.ts';
import {createTarReader, type TarEntry, tarLength, writeTar} from './tar.ts';

/** A directory of the runner that is filled before it starts. `entries` lie below it. */
export type Upload = {readonly target: string; readonly entries: readonly TarEntry[]; readonly bytes: number};
/** A directory or file of the claim that the runner sees at `target`. */
export type ClaimMount = {readonly target: string; readonly subPath: string};
/** What of a spec's mounts is sent, and what lies on the claim already. */
export type Inputs = {readonly uploads: readonly Upload[]; readonly claimed: readonly ClaimMount[]};

/** Where the container that takes and gives files has them; `files` is its name in the pod. */
export const FILES = {container: 'files', uploads: '/files', output: '/out'} as const;
const TRANSFER_LIMIT_MS = 120_000;
const MAX_OUTPUT_FILES = 4_096;

/** `claimRoot` is where this machine has the claim mounted. Throws `sandbox_unavailable` for what cannot be sent. */
export async function planInputs(mounts: readonly Mount[], claimRoot: string | undefined): Promise<Inputs> {
	const real = await Promise.all(mounts.map(async ({source, target}) => ({source: await resolveSource(source), target})));
	const root = claimRoot === undefined ? undefined : await resolveSource(claimRoot);
	const isClaimed = ({source}: Mount) => root !== undefined && (source === root || source.startsWith(root + sep));
	const claimed = real.filter(isClaimed).map(({source, target}) => ({target, subPath: relative(root ?? '', source)}));
	const files = (await Promise.all(real.filter((mount) => !isClaimed(mount)).map(entriesOf))).flat();
	const targets = outermost(files.map(({directory}) => directory));
	const uploads = targets.map((target) => {
		const below = files.filter(({directory}) => directory === target || directory.startsWith(`${target}/`));
		const entries = below.flatMap(({directory, entries: found}) => moved(found, posix.relative(target, directory)));
		return {target, entries, bytes: entries.reduce((total, {file}) => total + (file?.bytes ?? 0), 0)};
	});
	return {uploads, claimed};
}

async function resolveSource(path: string): Promise<string> {
	return realpath(path).catch((cause) => {
		throw new WritError('sandbox_unavailable', `${path} cannot be mounted: it does not exist`, {cause});
	});
}

/** One volume for each; what lies deeper is part of the one above it. */
function outermost(directories: readonly string[]): string[] {
	const unique = [...new Set(directories)].toSorted();
	return unique.filter((each) => !unique.some((other) => other !== each && each.startsWith(`${other}/`)));
}

function moved(entries: readonly TarEntry[], into: string): TarEntry[] {
	if (into === '') return [...entries];
	return [{path: into}, ...entries.map((entry) => ({...entry, path: `${into}/${entry.path}`}))];
}

async function entriesOf({source, target}: Mount): Promise<{directory: string; entries: TarEntry[]}> {
	const found = await stat(source);
	if (found.isFile()) {
		const entry = {path: posix.basename(target), file: {source, bytes: found.size}};
		return {directory: volumeAt(posix.dirname(target)), entries: [entry]};
	}
	if (!found.isDirectory()) throw unsendable(source);
	const listed = await readdir(source, {withFileTypes: true, recursive: true});
	const entries = await Promise.all(
		listed.map(async (entry): Promise<TarEntry> => {
			const path = join(entry.parentPath, entry.name);
			const inside = relative(source, path);
			if (entry.isDirectory()) return {path: inside};
			if (!entry.isFile()) throw unsendable(path);
			return {path: inside, file: {source: path, bytes: (await stat(path)).size}};
		}),
	);
	return {directory: volumeAt(target), entries: entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))};
}

function volumeAt(target: string): string {
	if (!posix.isAbsolute(target) || posix.normalize(target) !== target || target === '/' || target.includes(':'))
		throw new WritError('sandbox_unavailable', `nothing can be mounted at ${target} in a pod`);
	return target;
}

function unsendable(path: string): WritError {
	return new WritError('sandbox_unavailable', `${path} cannot be sent to a pod: it is neither a file nor a directory`);
}

// `head`, because an older API server cannot tell the command that its input has ended, and tar waits for that. The paths that are
// printed come from the pod: they are compared, never used.
const RECEIVE = `set -e; head -c "$1" | tar -x -m -f - -C ${FILES.uploads}; cd ${FILES.uploads}; exec find . -type f -exec sha256sum {} +`;
const SEND = ['tar', '-c', '-f', '-', '-C', FILES.output, '.'];

/** Fills the volumes of a pod and compares the digest of every file as it arrived. */
export async function upload(api: KubernetesApi, pod: string, uploads: readonly Upload[], signal: AbortSignal): Promise<void> {
	const entries = uploads.flatMap(({entries: each}, volume) =>
		each.map((entry) => ({...entry, path: `${volume}/${entry.path}`})),
	);
	const sent = new Map<string, Hash>(entries.filter(({file}) => file).map(({path}) => [path, createHash('sha256')]));
	const said: Buffer[] = [];
	await execute(
		api,
		{pod, container: FILES.container, command: ['/bin/sh', '-c', RECEIVE, 'writ', String(tarLength(entries))]},
		{
			input: writeTar(entries, (path, chunk) => void sent.get(path)?.update(chunk)),
			output: (chunk) => void said.push(chunk),
			limitMs: TRANSFER_LIMIT_MS,
			signal,
		},
	);
	const expected = [...sent].map(([path, hash]) => `${hash.digest('hex')}  ./${path}`).toSorted();
	const arrived = Buffer.concat(said).toString('utf8').split('\n').filter(Boolean).toSorted();
	const wrong = expected.find((line, at) => line !== arrived[at]);
	if (wrong === undefined && arrived.length === expected.length) return;
	throw new WritError(
		'sandbox_unavailable',
		`the pod did not get the files as they are here: ${(wrong ?? arrived.at(-1))?.slice(66)}`,
	);
}

/** Brings what the run left in `/out` into its output directory: directories and plain files, nothing else. */
export async function download(api: KubernetesApi, pod: string, {output = '', limits}: SandboxSpec): Promise<void> {
	const bytes = limits.fileBytes ?? limits.scratchBytes;
	const open = new Set<number>();
	const reader = createTarReader(
		{bytes, entries: MAX_OUTPUT_FILES},
		{
			directory: (path) => make(() => mkdirSync(join(output, path), {recursive: true})),
			file(path) {
				make(() => mkdirSync(dirname(join(output, path)), {recursive: true}));
				const descriptor = make(() => openSync(join(output, path), 'wx', 0o644));
				open.add(descriptor);
				return (chunk) => (chunk ? void writeSync(descriptor, chunk) : close(descriptor, open));
			},
		},
	);
	try {
		await execute(api, {pod, container: FILES.container, command: SEND}, {output: reader.push, limitMs: TRANSFER_LIMIT_MS});
		reader.end();
	} finally {
		for (const descriptor of open) close(descriptor, open);
	}
}

function close(descriptor: number, open: Set<number>): void {
	open.delete(descriptor);
	closeSync(descriptor);
}

/** Two entries of one name, or a file where a directory should be, are made on purpose. */
function make<T>(act: () => T): T {
	try {
		return act();
	} catch (cause) {
		throw new WritError('runner_internal_error', 'the archive of /out contradicts itself', {cause});
	}
}
