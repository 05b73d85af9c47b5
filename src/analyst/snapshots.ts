/** One snapshot of a dataset on disk: a directory with a manifest and a Parquet file per table, named by its content. */
import {createHash} from 'node:crypto';
import {constants} from 'node:fs';
import {chmod, mkdir, open, readFile, rename, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {type Dataset, datasetSchema, type TableProfile} from '#contract/dataset.ts';
import {WritError} from '#contract/errors.ts';
import {hashFile, isCode, isMissing, nullIfMissing, replaceFile, syncDirectory, UNLISTED} from './durable-files.ts';

const manifestSchema = z.object({
	v: z.literal(1),
	dataset: datasetSchema,
	/** how each Parquet file looked when it was published */
	files: z.record(z.string(), z.object({bytes: z.int(), mtimeMs: z.number()})),
});
type Manifest = z.infer<typeof manifestSchema>;

/** SHA-256 over table names and their sources' hashes, in order of table name. */
export function datasetHash(tables: readonly Pick<TableProfile, 'name' | 'source'>[]): string {
	const hash = createHash('sha256');
	for (const {name, source} of tables.toSorted((a, b) => (a.name < b.name ? -1 : 1))) hash.update(`${name}\t${source.sha256}\n`);
	return hash.digest('hex');
}

const FILE = /^[a-z_][a-z0-9_]{0,62}\.parquet$/;
export const ADD_AGAIN = 'add the dataset again from its source files, or restore its directory from a backup';

/** Reads and checks snapshot directories, and remembers what it has read as long as the files stay the same. `shown` is what of a description may be kept. */
export function createSnapshots(shown: (dataset: Dataset) => Dataset) {
	const manifests = new Map<string, {readonly version: string; readonly manifest: Manifest}>();
	const trusted = new Map<string, string>();

	const read = async (path: string, id: string): Promise<Manifest> => {
		const file = join(path, 'manifest.json');
		const facts = await stat(file).catch((error) => {
			throw isMissing(error) ? notFound(id) : error;
		});
		const version = `${facts.ino} ${facts.size} ${facts.mtimeMs}`;
		const known = manifests.get(path);
		if (known?.version === version) return known.manifest;
		const manifest = parseManifest(await readFile(file, 'utf8'), id);
		manifests.set(path, {version, manifest});
		return manifest;
	};

	/** A file of the right size and time is taken as it is; one whose time changed (a restored backup) is read once more. */
	const isWhole = async (
		path: string,
		table: TableProfile,
		published: Manifest['files'][string] | undefined,
	): Promise<boolean> => {
		const file = join(path, table.file);
		const facts = await stat(file).catch(nullIfMissing);
		if (!facts?.isFile() || facts.size !== published?.bytes) return false;
		const version = `${facts.ino} ${facts.size} ${facts.mtimeMs}`;
		if (facts.mtimeMs === published.mtimeMs || trusted.get(file) === version) return true;
		if ((await hashFile(file)) !== table.sha256) return false;
		trusted.set(file, version);
		return true;
	};

	const check = async (path: string, id: string): Promise<Dataset> => {
		const {dataset, files} = await read(path, id);
		const whole = await Promise.all(dataset.tables.map((table) => isWhole(path, table, files[table.file])));
		const changed = dataset.tables.filter((_, index) => !whole[index]);
		if (changed.length > 0) throw corrupt(id, changed);
		return dataset;
	};

	const rehash = async (path: string, id: string) => {
		const {dataset} = await read(path, id);
		const hashes = await Promise.all(dataset.tables.map((table) => hashFile(join(path, table.file))));
		const changed = dataset.tables.filter((table, index) => table.sha256 !== hashes[index]);
		if (changed.length > 0 || !path.endsWith(datasetHash(dataset.tables))) throw corrupt(id, changed);
		const sizes = await Promise.all(dataset.tables.map(async (table) => (await stat(join(path, table.file))).size));
		return {dataset, files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0)};
	};

	const redescribe = async (path: string, dataset: Dataset): Promise<boolean> => {
		try {
			const {dataset: present} = await rehash(path, dataset.id);
			const {files} = await read(path, dataset.id);
			const tables = present.tables.map((table) => describe(table, dataset));
			const manifest = {v: 1, dataset: shown({...dataset, tables, createdAt: present.createdAt}), files};
			await replaceFile(join(path, 'manifest.json'), JSON.stringify(manifest));
			return true;
		} catch (error) {
			if (error instanceof WritError) return false; // damaged: the new one takes its place
			throw error;
		}
	};

	/** Moves a sealed snapshot to its place, unless a whole one is there: then that one stays and only its description changes. */
	const settle = async (from: string, to: string, dataset: Dataset): Promise<void> => {
		if (await moveInto(from, to)) return;
		if (await redescribe(to, dataset)) return;
		await rm(to, {recursive: true, force: true});
		if (!(await moveInto(from, to)))
			throw new WritError('conflict', `dataset \`${dataset.id}\` is being added by someone else at this moment`);
	};

	return {read, check, rehash, settle};
}

/** False when something is there already. */
async function moveInto(from: string, to: string): Promise<boolean> {
	const parent = join(to, '..');
	await mkdir(parent, {recursive: true, mode: UNLISTED});
	try {
		await rename(from, to);
	} catch (error) {
		if (isCode(error, 'ENOTEMPTY', 'EEXIST')) return false;
		throw error;
	}
	await syncDirectory(parent);
	return true;
}

function describe(table: TableProfile, {tables}: Dataset): TableProfile {
	const said = tables.find(({name}) => name === table.name);
	const columns = table.columns.map((column) => {
		const {description = column.description, unit} = said?.columns.find(({name}) => name === column.name) ?? {};
		return {...column, description, ...(unit === undefined ? {} : {unit})};
	});
	return {...table, description: said?.description ?? table.description, columns};
}

/** Makes a staged snapshot complete and durable: its files can no longer be written by mistake, and its manifest says what they are. */
export async function seal(path: string, dataset: Dataset): Promise<void> {
	const files: Manifest['files'] = {};
	for (const {file} of dataset.tables) {
		await using handle = await open(join(path, safeFile(file)), constants.O_RDONLY | constants.O_NOFOLLOW);
		await handle.chmod(0o444);
		await handle.sync();
		const {size, mtimeMs} = await handle.stat();
		files[file] = {bytes: size, mtimeMs};
	}
	await replaceFile(join(path, 'manifest.json'), JSON.stringify({v: 1, dataset, files} satisfies Manifest));
	await chmod(path, 0o755);
}

function parseManifest(text: string, id: string): Manifest {
	try {
		return manifestSchema.parse(JSON.parse(text));
	} catch (cause) {
		throw new WritError('dataset_corrupt', `the manifest of dataset \`${id}\` cannot be read`, {hint: ADD_AGAIN, cause});
	}
}

function safeFile(file: string): string {
	if (FILE.test(file)) return file;
	throw new WritError('runner_internal_error', 'a snapshot file has a name that no table gives it', {details: {file}});
}

export function notFound(id: string): WritError {
	return new WritError('not_found', `there is no dataset \`${id}\``, {
		hint: 'list them with `writ datasets`',
		details: {dataset: id},
	});
}

function corrupt(id: string, changed: readonly TableProfile[]): WritError {
	const files = changed.map(({file}) => file);
	return new WritError('dataset_corrupt', `dataset \`${id}\` is not what was added: ${files.join(', ') || 'its name'} changed`, {
		hint: ADD_AGAIN,
		details: {dataset: id, files},
	});
}
