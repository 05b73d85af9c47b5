/**
 * The datasets of the question set: the samples, and public data that ships in the vega-datasets package. Each goes through the real
 * ingest runner and the real inference of relationships and of now; only the sandbox around it is left out.
 */
import {spawn} from 'node:child_process';
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {buffer} from 'node:stream/consumers';
import {DuckDBInstance} from '@duckdb/node-api';
import {inferNow} from '#analyst/infer-now.ts';
import {inferRelationships} from '#analyst/infer-relationships.ts';
import type {Sample} from '#analyst/samples/sample.ts';
import {SAMPLES, writeSamples} from '#analyst/samples/samples.ts';
import {type Dataset, datasetSchema, type TableProfile} from '#contract/dataset.ts';
import type {Json} from '#contract/json.ts';

/** Files of the vega-datasets package by the dataset they make here. */
const PUBLIC: Readonly<Record<string, readonly string[]>> = {
	cars: ['cars.json'],
	movies: ['movies.json'],
	seattle_weather: ['seattle-weather.csv'],
	penguins: ['penguins.json'],
	stocks: ['stocks.csv'],
	gapminder: ['gapminder.json'],
	birdstrikes: ['birdstrikes.csv'],
	flights: ['flights-5k.json', 'airports.csv'],
	barley: ['barley.json'],
	disasters: ['disasters.csv'],
	sp500: ['sp500-2000.csv'],
};

export type Loaded = {
	readonly dataset: Dataset;
	rows(sql: string): Promise<readonly (readonly Json[])[]>;
	close(): void;
};

/** The dataset with an engine that has its tables; what was ingested is kept in the temporary directory for the next run. */
export async function loadDataset(id: string): Promise<Loaded> {
	const directory = path.join(tmpdir(), 'writ-questions', `${id}-${fingerprint(id)}`);
	const manifest = path.join(directory, 'manifest.json');
	if (!existsSync(manifest)) await make(id, directory);
	const dataset = datasetSchema.parse(JSON.parse(readFileSync(manifest, 'utf8')));
	return {dataset, ...(await openEngine(directory, dataset.tables))};
}

/** Changes with the code that reads files, so that nothing stale is asked. */
function fingerprint(id: string): string {
	const root = path.resolve(import.meta.dirname, '../..');
	const sources = [
		'src/sandbox/runners/ingest.ts',
		'src/sandbox/runners/ingest/infer.ts',
		'src/sandbox/runners/ingest/profile.ts',
	];
	const samples = ['src/analyst/samples/ecommerce.ts', 'src/analyst/samples/support.ts', 'src/analyst/samples/sensors.ts'];
	const hash = createHash('sha256').update(String(PUBLIC[id]));
	for (const file of [...sources, ...samples, 'src/analyst/infer-relationships.ts'])
		hash.update(readFileSync(path.join(root, file)));
	return hash.digest('hex').slice(0, 12);
}

async function make(id: string, target: string): Promise<void> {
	const directory = `${target}.${process.pid}`;
	mkdirSync(path.join(directory, 'in'), {recursive: true});
	const sample = SAMPLES.find((each) => each.id === id);
	const files = sample ? await sampleFiles(sample, directory) : publicFiles(id);
	const profiled = await ingest(files, directory);
	const tables = profiled.map((table) => (sample ? described(table, sample) : table));
	const engine = await openEngine(directory, tables);
	const query = async (sql: string) => ({rows: (await engine.rows(sql)) as Json[][]});
	const relationships = sample ? sample.relationships : await inferRelationships({tables}, query);
	engine.close();
	const dataset: Dataset = {
		...{id, name: sample?.name ?? id, description: sample?.description ?? '', hash: '0'.repeat(64), tables: [...tables]},
		...{relationships: [...relationships], now: sample?.now ?? inferNow({tables}, new Date('2026-01-01')), tags: []},
		...{prompts: [...(sample?.prompts ?? [])], createdAt: '2026-01-01T00:00:00Z'},
	};
	writeFileSync(path.join(directory, 'manifest.json'), JSON.stringify(dataset));
	rmSync(target, {recursive: true, force: true});
	renameSync(directory, target);
}

type File = {readonly name: string; readonly path: string};

async function sampleFiles(sample: Sample, directory: string): Promise<readonly File[]> {
	const [written] = await writeSamples(path.join(directory, 'in'), [sample]);
	return written?.input.files ?? [];
}

function publicFiles(id: string): readonly File[] {
	const data = path.resolve(import.meta.dirname, '../../node_modules/vega-datasets/data');
	const names = PUBLIC[id];
	if (!names) throw new Error(`there is no dataset ${id}`);
	return names.map((name) => ({name: name.replace('-5k', ''), path: path.join(data, name)}));
}

function described(table: TableProfile, sample: Sample): TableProfile {
	const declared = sample.tables.find(({name}) => name === table.name);
	const columns = table.columns.map((column) => {
		const {description = '', unit} = declared?.columns.find(({name}) => name === column.name) ?? {};
		return {...column, description, ...(unit === undefined ? {} : {unit})};
	});
	return {...table, description: declared?.description ?? '', columns};
}

/** Speaks to the ingest runner as a sandbox does: one frame in, frames out on descriptor 3. */
async function ingest(files: readonly File[], directory: string): Promise<readonly TableProfile[]> {
	const runner = path.resolve(import.meta.dirname, '../../src/sandbox/runners/ingest.ts');
	const limits = {
		wallMs: 60_000,
		memoryBytes: 2 ** 31,
		cpus: 2,
		processes: 64,
		openFiles: 256,
		scratchBytes: 2 ** 31,
		outputBytes: 2 ** 26,
	};
	const roots = {in: '/', out: directory, scratch: directory};
	const child = spawn(process.execPath, [runner, JSON.stringify({limits, out: true, roots})], {
		stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
	});
	const [input, , , result] = child.stdio;
	const body = Buffer.from(JSON.stringify({kind: 'ingest', files}));
	const length = Buffer.alloc(4);
	length.writeUInt32BE(body.length);
	input?.write(Buffer.concat([length, body]));
	const frames = framesOf(await buffer(result as NodeJS.ReadableStream));
	const failed = frames.find(
		({type}) => type !== 'ready' && type !== 'stage' && type !== 'file' && type !== 'profile' && type !== 'done',
	);
	if (failed) throw new Error(JSON.stringify(failed));
	return frames.flatMap(({type, table}) => {
		if (type !== 'profile') return [];
		const {format, source, ...profile} = table as TableProfile & {format: 'csv' | 'json'};
		return [{...profile, sha256: '0'.repeat(64), source: {name: String(source), bytes: 1, sha256: '0'.repeat(64), format}}];
	});
}

function framesOf(bytes: Buffer): readonly {readonly type: string; readonly table?: unknown}[] {
	const frames: {type: string; table?: unknown}[] = [];
	for (let at = 0; at < bytes.length; ) {
		const end = at + 4 + bytes.readUInt32BE(at);
		frames.push(JSON.parse(bytes.subarray(at + 4, end).toString('utf8')));
		at = end;
	}
	return frames;
}

async function openEngine(directory: string, tables: readonly TableProfile[]): Promise<Pick<Loaded, 'rows' | 'close'>> {
	const instance = await DuckDBInstance.create(':memory:', {threads: '1'});
	const connection = await instance.connect();
	for (const {name, file} of tables) {
		await connection.run(`CREATE VIEW "${name}" AS SELECT * FROM read_parquet('${path.join(directory, file)}')`);
	}
	return {
		rows: async (sql) => (await connection.runAndReadAll(sql)).getRowsJson() as readonly (readonly Json[])[],
		close() {
			connection.closeSync();
			instance.closeSync();
		},
	};
}
