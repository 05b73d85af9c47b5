import {rename, statfs} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {z} from 'zod';
import {
	type ColumnProfile,
	type Dataset,
	datasetSchema,
	identifierSchema,
	type Relationship,
	relationshipSchema,
	type TableProfile,
	tableProfileSchema,
} from '#contract/dataset.ts';
import {WritError} from '#contract/errors.ts';
import type {Frame, SandboxLimits, SandboxSpec} from '#contract/sandbox.ts';
import type {Clock} from '#kernel/ports.ts';
import {type Storage, UNLIMITED} from '#kernel/storage.ts';
import type {Tool, World} from '#kernel/tool.ts';
import {toError} from '#sandbox/runner-error.ts';
import {assemble} from './compute.ts';
import type {DatasetSource, Datasets, Staging} from './datasets.ts';
import {hashFile, nullIfMissing} from './durable-files.ts';
import {inferNow} from './infer-now.ts';
import {inferRelationships} from './infer-relationships.ts';
import {
	assertDecidedOn,
	assertUnchanged,
	openSource,
	type Source,
	type SourceLimits,
	type SourceState,
	stateOf,
} from './source-files.ts';

const fileSchema = z.strictObject({
	/** as its owner named it: says the format and the table's name, never a path */
	name: z.string().min(1).max(255),
	path: z.string().min(1).max(4_096),
});

const inputSchema = z.strictObject({
	/** by default from `name`, or else from the first file's name */
	id: identifierSchema.optional(),
	name: z.string().min(1).max(200).optional(),
	description: z.string().max(2_000).default(''),
	files: z.array(fileSchema).min(1).max(64),
	/** found by comparing names and values unless stated */
	relationships: z.array(relationshipSchema).max(200).optional(),
	/** taken from the latest plausible timestamp unless stated */
	now: z.iso.datetime({local: true}).nullish(),
	prompts: z.array(z.string().max(500)).max(50).default([]),
	tags: z.array(z.string().max(50)).max(50).default([]),
	/** what is known of tables and columns beyond their values, by name */
	tables: z
		.record(
			z.string(),
			z.strictObject({
				description: z.string().default(''),
				columns: z
					.record(z.string(), z.strictObject({description: z.string().default(''), unit: z.string().optional()}))
					.default({}),
			}),
		)
		.default({}),
});
type Parsed = z.infer<typeof inputSchema>;
export type IngestInput = z.input<typeof inputSchema>;

type IngestOptions = SourceLimits & {
	readonly datasets: Datasets;
	/** room for the snapshot; by default as much as there is */
	readonly storage?: Storage;
	/** of the sandbox that reads the files */
	readonly limits: SandboxLimits;
	/** what "not later than tomorrow" is measured by */
	readonly clock?: Clock;
};

/** What the `ingest` runner says of a table; hashes are computed out here. */
const profileFrameSchema = tableProfileSchema.omit({sha256: true, source: true}).extend({
	format: tableProfileSchema.shape.source.shape.format,
	/** the name that the request gave the file it came from */
	source: z.string(),
});
type ProfileFrame = z.infer<typeof profileFrameSchema>;

const SYSTEM_CLOCK: Clock = {now: () => new Date()};
const MAX_COUNTED = 1_000;

/** Turns files into a dataset: they are read, typed and profiled in a sandbox, and kept as an immutable snapshot. */
export function createIngestTool(options: IngestOptions): Tool<Parsed, Dataset> {
	const {limits} = options;
	return {
		name: 'dataset.add',
		version: '1',
		title: 'Add a dataset',
		description:
			'Reads CSV, TSV, Parquet, JSON, NDJSON or XLSX files, finds out their types, and keeps an immutable snapshot that questions can be asked of. Adding again under the same id makes a new snapshot.',
		input: inputSchema as z.ZodType<Parsed>,
		output: datasetSchema as z.ZodType<Dataset>,
		effect: 'write',
		risk: 'low',
		idempotent: true,
		labels: ['untrusted'],
		limits: {wallMs: limits.wallMs, maxRows: MAX_COUNTED, maxBytes: limits.outputBytes},
		resource: (input) => ({type: 'Dataset', id: idOf(input)}),
		fingerprint: async ({files}, principal, pass) =>
			JSON.stringify(await Promise.all(sourcesOf(files).map((file) => stateOf(file, {principal, ...pass}, options)))),
		preview: (input, target) => {
			const states = statesIn(target);
			const files = input.files.map(({name, path}, index) => `${name} (${path}, ${showState(states[index])})`);
			return `${idOf(input)}: ${files.join(', ')}`;
		},
		run: (input, world) => ingest(input, world, options),
		verify: (_input, output, world) => verifyIngested(output, world, options),
	};
}

/** An id made of a name: what SQL needs no quotes for. */
function idOf({id, name, files}: Pick<Parsed, 'id' | 'name' | 'files'>): string {
	if (id !== undefined) return id;
	const plain = (name ?? stem(files[0]?.name ?? ''))
		.normalize('NFKD')
		.toLowerCase()
		.replaceAll(/\p{M}/gu, '')
		.replaceAll(/[^a-z0-9]+/g, '_')
		.replaceAll(/^_+|_+$/g, '')
		.slice(0, 60);
	if (plain === '') return 'dataset';
	return /^\d/.test(plain) ? `d_${plain}` : plain;
}

function stem(name: string): string {
	return basename(name).replace(/(\.[A-Za-z0-9]{1,8}){1,2}$/, '');
}

async function ingest(input: Parsed, world: World, options: IngestOptions): Promise<Dataset> {
	const {datasets, limits, storage = UNLIMITED, clock = SYSTEM_CLOCK} = options;
	const {tenant} = world.principal;
	await using sources = new AsyncDisposableStack();
	const opened: Source[] = [];
	const states = statesIn(world.target);
	const hashes: string[] = [];
	for (const file of sourcesOf(input.files)) {
		const source = await openSource(file, world, options);
		sources.defer(() => source.handle.close());
		opened.push(source);
		hashes.push(assertDecidedOn(source, states[file.index]));
	}
	// As much as came; a snapshot that is larger has to find room for the rest before it is kept.
	await using holding = await storage.hold(
		tenant,
		opened.reduce((sum, {bytes}) => sum + bytes, 0),
	);
	await using staging = await datasets.stage();

	world.progress('reading files');
	const profiles = await readAll(opened, staging, world, await withinDisk(staging, limits));
	await Promise.all(opened.map(assertUnchanged));
	world.progress('keeping the snapshot');
	const tables: TableProfile[] = [];
	for (const profile of profiles) {
		const {name, bytes, index} = sourceOf(profile, opened);
		const {format, source: _path, ...table} = profile;
		const source = {name, bytes, sha256: hashes[index] as string, format};
		tables.push(say({...table, source, sha256: await collect(staging, table.file)}, input));
	}

	const {tags, description} = input;
	const id = idOf(input);
	const name = input.name ?? stem(input.files[0]?.name ?? id);
	const now = input.now === undefined ? inferNow({tables}, clock.now()) : input.now;
	const relationships = input.relationships ?? (await relate(tables, staging, world, limits));
	const facts = {id, name, description, tables, relationships, now, tags, createdAt: clock.now().toISOString()};
	const prompts = input.prompts.length > 0 ? input.prompts : await inventPrompts({...facts, prompts: [], hash: ''});
	return await datasets.publish(tenant, staging, {...facts, prompts}, holding);
}

/** The planner is loaded with the first dataset that comes without questions. */
async function inventPrompts(dataset: Dataset): Promise<string[]> {
	return (await import('./planner/prompts.ts')).promptsFor(dataset);
}

/** Whoever else writes to this disk keeps a tenth of what is free. */
const USABLE = 0.9;

/** No snapshot may fill the disk that everything else is on. */
async function withinDisk({out}: Staging, limits: SandboxLimits): Promise<SandboxLimits> {
	if (limits.fileBytes === undefined) return limits;
	const {bavail, bsize} = await statfs(out);
	return {...limits, fileBytes: Math.max(1, Math.min(limits.fileBytes, Math.floor(bavail * bsize * USABLE)))};
}

// --- in the sandbox ----------------------------------------------------------------------------------------------------

async function readAll(
	sources: readonly Source[],
	staging: Staging,
	world: World,
	limits: SandboxLimits,
): Promise<readonly ProfileFrame[]> {
	const mounts = sources.map(({path, index}) => ({source: path, target: `/in/${index}`}));
	const files = sources.map(({label, index}) => ({name: label, path: `/in/${index}`}));
	const spec: SandboxSpec = {runner: 'ingest', mounts, output: staging.out, network: 'none', limits};
	const {frames} = await world.sandbox(spec, {kind: 'ingest', files}).catch(orCrashed(files));
	return toProfiles(frames);
}

const CRASHES: ReadonlySet<unknown> = new Set(['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGTRAP']);

/** A crafted file can make its reader fault. That hurts the sandbox alone, and the file is to blame. */
function orCrashed(files: readonly {readonly name: string}[]): (error: unknown) => never {
	return (error) => {
		if (!(error instanceof WritError && error.code === 'runner_internal_error' && CRASHES.has(error.details.signal))) throw error;
		const names = files.map(({name}) => `\`${name}\``).join(', ');
		throw new WritError('unreadable_file', `reading ${names} crashed the reader: a file is damaged, or made to do so`, {
			hint: 'check the file with the program that wrote it',
			cause: error,
			details: {files: files.map(({name}) => name), signal: error.details.signal},
		});
	};
}

function toProfiles(frames: readonly Frame[]): ProfileFrame[] {
	const profiles: ProfileFrame[] = [];
	for (const frame of frames) {
		if (frame.type === 'error') throw toError(frame);
		if (frame.type !== 'profile') continue;
		const profile = profileFrameSchema.safeParse(frame.table);
		if (!profile.success)
			throw new WritError('runner_internal_error', 'the sandbox described a table in a form that nobody knows');
		profiles.push(profile.data);
	}
	const names = new Set(profiles.map(({name}) => name));
	const files = new Set(profiles.map(({file}) => file));
	if (profiles.length > 0 && names.size === profiles.length && files.size === profiles.length) return profiles;
	throw new WritError('runner_internal_error', 'the sandbox ended without a table, or with two of one name');
}

function sourcesOf(files: Parsed['files']) {
	return files.map((file, index) => ({...file, index, label: labelOf(index, files)}));
}

/** The fingerprint read back. */
function statesIn(target: string | null): readonly SourceState[] {
	return target === null ? [] : JSON.parse(target);
}

function showState(state: SourceState | undefined): string {
	if (state === undefined) return 'not read';
	return 'refusal' in state ? state.refusal : `${state.bytes} bytes, SHA-256 ${state.sha256}`;
}

/** What a file is called in the sandbox: its own name, numbered where an earlier file has the same. */
function labelOf(index: number, files: Parsed['files']): string {
	const {name} = files[index] as Parsed['files'][number];
	const earlier = files.slice(0, index).filter((file) => file.name === name).length;
	return earlier === 0 ? name : name.replace(/^(.+?)((\.[A-Za-z0-9]{1,8}){0,2})$/, `$1_${earlier + 1}$2`);
}

function sourceOf({source, name}: ProfileFrame, sources: readonly Source[]): Source {
	const found = sources.filter(({label}) => label === source);
	if (found.length === 1) return found[0] as Source;
	throw new WritError('runner_internal_error', `the sandbox did not say which file the table \`${name}\` came from`);
}

/** Takes one file out of what the sandbox wrote: a plain file by its own name, whatever else is there. */
async function collect({out, snapshot}: Staging, file: string): Promise<string> {
	if (file !== basename(file)) throw new WritError('runner_internal_error', 'the sandbox named a file outside its directory');
	const missing = (await rename(join(out, file), join(snapshot, file)).catch(nullIfMissing)) === null;
	const sha256 = missing ? null : await hashFile(join(snapshot, file));
	if (sha256 !== null) return sha256;
	throw new WritError('runner_internal_error', `the sandbox left no plain file \`${file}\``);
}

/** Adds what the owner declared to what profiling found. */
function say(table: TableProfile, {tables}: Parsed): TableProfile {
	const declared = tables[table.name];
	if (!declared) return table;
	const columns = table.columns.map((column): ColumnProfile => ({...column, ...declared.columns[column.name]}));
	return {...table, description: declared.description, columns};
}

async function relate(
	tables: readonly TableProfile[],
	staging: Staging,
	world: World,
	limits: SandboxLimits,
): Promise<Relationship[]> {
	if (tables.length < 2) return [];
	world.progress('comparing tables');
	const views = tables.map(({name, file}) => ({table: name, path: `/data/${file}`}));
	const mounts = [{source: staging.snapshot, target: '/data'}];
	return inferRelationships({tables: [...tables]}, (sql) => count({mounts, views}, sql, world, limits));
}

async function count({mounts, views}: DatasetSource, sql: string, world: World, limits: SandboxLimits) {
	const spec: SandboxSpec = {runner: 'sql', mounts: [...mounts], network: 'none', limits};
	const request = {kind: 'sql' as const, views: [...views], sql, maxRows: MAX_COUNTED, maxBytes: limits.outputBytes};
	const {frames} = await world.sandbox(spec, request);
	return assemble(frames).table;
}

// --- afterwards --------------------------------------------------------------------------------------------------------

/** The snapshot is there, every byte of it, and another sandbox counts as many rows in it as profiling did. */
async function verifyIngested({id, hash, tables}: Dataset, world: World, {datasets, limits}: IngestOptions) {
	const {tenant} = world.principal;
	const {dataset, files, bytes} = await datasets.verify(tenant, id, hash);
	const sql = tables.map(({name}, index) => `SELECT ${index} AS position, count(*) AS n FROM "${name}"`).join(' UNION ALL ');
	const {rows} = await count(datasets.source(tenant, dataset), sql, world, limits);
	const counted = new Map(rows.map(([position, n]) => [Number(position), Number(n)]));
	const checks = [
		{
			name: 'files',
			passed: files === tables.length,
			detail: `${files} files, ${bytes} bytes, all with the hash they were kept under`,
		},
		...tables.map((table, index) => ({
			name: `rows of ${table.name}`,
			passed: counted.get(index) === table.rows,
			detail: `${counted.get(index) ?? 'no'} rows counted, ${table.rows} profiled`,
		})),
	];
	const kind = checks.every(({passed}) => passed) ? ('verified' as const) : ('unverified' as const);
	return {kind, checks};
}
