/**
 * General tools: programs and tests that are about no dataset. This file keeps what they read and what they left, each file under its
 * hash: a proposal names content, never a place on this host, and what is read is what was named.
 */
import {createHash, randomUUID} from 'node:crypto';
import {constants} from 'node:fs';
import {type FileHandle, lstat, mkdir, open, rename, rm, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import {type Storage, type StorageHolding, UNLIMITED} from '#kernel/storage.ts';
import {bytesOnDisk} from '#sandbox/bytes-on-disk.ts';

const PART = /^(?!\.{1,2}$)[^/\\\p{Cc}]{1,255}$/u;

/** A path below the place where it will be mounted: plain parts, joined by `/`. */
const nameSchema = z
	.string()
	.min(1)
	.max(1_024)
	.refine((name) => name.split('/').every((part) => PART.test(part)), 'a path below /in, without `..`');

export const filesSchema = z
	.array(z.strictObject({name: nameSchema, sha256: z.string().regex(/^[0-9a-f]{64}$/)}))
	.max(1_000)
	.superRefine((files, {addIssue}) => {
		const names = new Set(files.map(({name}) => name));
		if (names.size < files.length) addIssue('two files have the same name');
		for (const {name} of files)
			for (let end = name.lastIndexOf('/'); end > 0; end = name.lastIndexOf('/', end - 1))
				if (names.has(name.slice(0, end))) addIssue(`\`${name.slice(0, end)}\` is a file and a directory`);
	});
export type Files = z.infer<typeof filesSchema>;

export type FileStore = {
	/** Keeps `bytes` and returns their SHA-256. Throws `budget_exceeded`. */
	put(tenant: string, bytes: Uint8Array): Promise<string>;
	/** Opens what is kept under a hash. Throws `not_found`. */
	open(tenant: string, sha256: string): Promise<FileHandle>;
	/** Room for files that are put there by somebody else. Throws `budget_exceeded`. */
	hold(tenant: string, bytes: number): Promise<StorageHolding>;
	/** Removes what is kept under a hash, if anything is. */
	erase(tenant: string, sha256: string): Promise<void>;
	/** What the files of a tenant take on disk. */
	bytes(tenant: string): Promise<number>;
	/** Where the files of a tenant are, each under its hash. */
	place(tenant: string): Promise<string>;
	/** Copies files into `directory` under their names. Throws `not_found`, or `unreadable_file` when one is not what its hash says. */
	stage(tenant: string, files: Files, directory: string): Promise<void>;
};

export function createFileStore(root: string, storage: Storage = UNLIMITED): FileStore {
	const place = async (tenant: string) => {
		// A tenant is any text; its directory is not.
		const directory = join(root, createHash('sha256').update(tenant).digest('hex').slice(0, 32));
		await mkdir(directory, {recursive: true, mode: 0o700});
		return directory;
	};
	const openKept = async (tenant: string, sha256: string) =>
		open(join(await place(tenant), sha256), constants.O_RDONLY | constants.O_NOFOLLOW).catch((cause: unknown) => {
			throw new WritError('not_found', `no file is kept under the hash ${sha256.slice(0, 12)}…`, {cause});
		});
	return {
		place,
		open: openKept,
		hold: storage.hold,
		bytes: async (tenant) => bytesOnDisk(await place(tenant)),
		async erase(tenant, sha256) {
			const path = join(await place(tenant), sha256);
			const bytes = await bytesOnDisk(path);
			await rm(path, {force: true});
			await storage.giveBack(tenant, bytes);
		},
		async put(tenant, bytes) {
			const sha256 = hash(bytes);
			await using holding = await storage.hold(tenant, bytes.length);
			const directory = await place(tenant);
			const unfinished = join(directory, `.${randomUUID()}`);
			const isNew = !(await isThere(join(directory, sha256)));
			try {
				await writeFile(unfinished, bytes, {flag: 'wx', mode: 0o600});
				await rename(unfinished, join(directory, sha256));
				await holding.settle(isNew ? bytes.length : 0);
			} finally {
				await rm(unfinished, {force: true});
			}
			return sha256;
		},
		async stage(tenant, files, directory) {
			for (const {name, sha256} of files) {
				await using kept = await openKept(tenant, sha256);
				const bytes = await kept.readFile();
				// INVARIANT: what is mounted is what was approved and recorded, whatever happened to the disk since.
				if (hash(bytes) !== sha256) throw new WritError('unreadable_file', `\`${name}\` is not what it was when it was named`);
				await mkdir(dirname(join(directory, name)), {recursive: true, mode: 0o755});
				await writeFile(join(directory, name), bytes, {flag: 'wx', mode: 0o644});
			}
		},
	};
}

async function isThere(path: string): Promise<boolean> {
	return (await lstat(path).catch(() => null)) !== null;
}

function hash(bytes: Uint8Array): string {
	return createHash('sha256').update(bytes).digest('hex');
}

/** What is kept under a hash, hashed again; null when nothing is. */
export async function rehash(files: FileStore, tenant: string, sha256: string): Promise<string | null> {
	const kept = await files.open(tenant, sha256).catch(() => null);
	if (kept === null) return null;
	await using handle = kept;
	const sum = createHash('sha256');
	for await (const chunk of handle.createReadStream({autoClose: false})) sum.update(chunk as Buffer);
	return sum.digest('hex');
}
