/**
 * Turns uploaded files, which nobody vouches for, into typed Parquet snapshots and learns what is in them. Started as
 * `node ingest.ts '{"limits": …, "out": true}'`; reads `/in`, writes `/out`, and sends one `profile` per table.
 */
import {rmSync, statSync} from 'node:fs';
import {join} from 'node:path';
import type {TableProfile} from '#contract/dataset.ts';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {openEngine} from './engine.ts';
import {parseArguments, RunnerError, sendFrame, serve} from './frames.ts';
import {loadDelimited, rowGroup, type Source, writeDelimited} from './ingest/delimited.ts';
import {type ColumnName, stemOf, toColumnNames, toTableName} from './ingest/names.ts';
import {type Nested, named, readJson, readParquet} from './ingest/nested.ts';
import {profileColumns} from './ingest/profile.ts';
import {engineRefusal, type Format, recognise, unreadable} from './ingest/recognise.ts';
import {openWorkbook} from './ingest/workbook.ts';
import {literal} from './views.ts';

const {limits, roots} = parseArguments(process.argv[2]);
const directory = roots.out ?? roots.scratch;
const connection = await openEngine({limits, roots, read: roots.in, write: directory});
const place = {connection, directory};
const taken = new Set<string>();
const reserved = await reservedWords();
await serve(ingest);

async function reservedWords(): Promise<Set<string>> {
	const reader = await connection.runAndReadAll(
		"SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'",
	);
	return new Set(reader.getRows().map(([word]) => String(word)));
}

async function ingest(request: RunnerRequest): Promise<void> {
	if (request.kind !== 'ingest')
		throw new RunnerError('runner_internal_error', `the ingest runner was asked for \`${request.kind}\``);
	try {
		for (const file of request.files) await ingestFile(file);
	} finally {
		for (const name of ['.text', '.sheet']) rmSync(join(directory, name), {force: true});
	}
	sendFrame({type: 'done', totalRows: null, truncated: null, nonFinite: 0});
}

async function ingestFile(source: Source): Promise<void> {
	sendFrame({type: 'stage', stage: `reading ${source.name}`});
	const recognised = await recognise(source.path, source.name);
	const {format} = recognised;
	if (format === 'xlsx') return ingestWorkbook(source);
	const table = claim(stemOf(source.name), format, source);
	const notices: string[] = [];
	if (format === 'csv')
		return finish(table, await writeDelimited(source, recognised, {...place, path: table.path}, notices), notices);
	const nested =
		format === 'json' ? await readJson(source, recognised, place, notices) : await readParquet(source, place, notices);
	return finish(table, await writeNested(nested, table, notices), notices);
}

async function ingestWorkbook(source: Source): Promise<void> {
	const {sheets, close} = await openWorkbook(source);
	let tables = 0;
	for (const {name, load} of sheets) {
		sendFrame({type: 'stage', stage: `reading sheet ${name}`});
		const loaded = await load(directory);
		if (!loaded) continue;
		tables += 1;
		const table = claim(sheets.length === 1 ? stemOf(source.name) : name, 'xlsx', source);
		const notices: string[] = [];
		await finish(table, await loadDelimited(loaded.source, loaded.dialect, {...place, path: table.path}, notices), notices);
	}
	close();
	if (tables === 0) throw unreadable(source.name, 'none of its sheets has any cells', 'add a header line and rows');
}

type Table = {readonly name: string; readonly path: string; readonly format: Format; readonly source: Source};

/** A table that is about to be written, under a name that no other has. */
function claim(stem: string, format: Format, source: Source): Table {
	const name = toTableName(stem, taken, reserved);
	sendFrame({type: 'stage', stage: `writing ${name}`});
	return {name, path: join(directory, `${name}.parquet`), format, source};
}

async function writeNested(nested: Nested, {path, source}: Table, notices: string[]): Promise<ColumnName[]> {
	const columns = toColumnNames(nested.headers, notices);
	const select = named(
		nested,
		columns.map(({name}) => name),
	);
	await connection
		.run(
			`COPY (SELECT ${select.join(',\n')} FROM ${nested.table}) TO ${literal(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${rowGroup(columns.length)})`,
		)
		.catch((error: unknown) => {
			throw engineRefusal(error, source.name);
		});
	return columns;
}

async function finish({name, path, format, source}: Table, columns: readonly ColumnName[], notices: string[]): Promise<void> {
	sendFrame({type: 'stage', stage: `profiling ${name}`});
	const profile = await profileColumns(path, columns, connection);
	if (profile.rows === 0) notices.push('the file has column names but no rows');
	const file = `${name}.parquet`;
	const table: Omit<TableProfile, 'sha256' | 'source'> & {format: Format} = {
		name,
		file,
		...profile,
		description: '',
		notices,
		format,
	};
	sendFrame({type: 'file', name: file, bytes: statSync(path).size, rows: profile.rows});
	sendFrame({type: 'profile', table: {...table, source: source.name}});
}
