import {basename, resolve} from 'node:path';
import type {Command as Program} from 'commander';
import type {z} from 'zod';
import type {DatasetSchemaReply, datasetSummarySchema, WorkReply} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import type {Client} from '#server/client.ts';
import {createProgress} from '../answer.ts';
import {type Act, type Command, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

export function datasetCommands(program: Program, act: Act): void {
	const datasets = program.command('datasets').description('the data that questions can be asked of');
	readCommands(datasets, act);
	addCommand(datasets, act);
	removeCommand(datasets, act);
	sampleCommands(datasets, act);
}

function readCommands(datasets: Program, act: Act): void {
	datasets
		.command('list', {isDefault: true})
		.description('every dataset')
		.action(
			act(async ({connect, io, json}) => {
				const reply = await (await (await connect()).api.datasets.$get()).json();
				if (json) return printJson(io, reply);
				const rows = reply.datasets.map(({id, name, row_count, tables}) => [
					id,
					name,
					row_count,
					tables.map((table) => table.name).join(', '),
				]);
				print(
					io,
					rows.length > 0
						? renderTable(['id', 'name', 'rows', 'tables'], rows, io)
						: 'no datasets; `writ datasets add FILE` adds yours, and `writ datasets samples` three to try',
				);
			}),
		);

	datasets
		.command('show')
		.description('columns, types, what profiling found, and three rows of each table')
		.argument('<id>')
		.action(
			act(async ({connect, io, json}, [id]: [string]) => {
				const client = await connect();
				const reply = await (await client.api.datasets[':dataset_id'].schema.$get({param: {dataset_id: id}})).json();
				if (json) return printJson(io, reply);
				for (const line of describeDataset(reply as DatasetSchemaReply, io)) print(io, line);
			}),
		);
}

function addCommand(datasets: Program, act: Act): void {
	datasets
		.command('add')
		.description('add CSV, TSV, Parquet, JSON or XLSX files as one dataset, a table for each')
		.argument('<file...>')
		.option('--id <id>', 'what to call it in commands; made from the first file name if absent')
		.option('--name <name>', 'what to call it on the page')
		.addHelpText(
			'after',
			`
Examples:
  writ datasets add sales.csv stores.parquet --id sales
Files of any size can be added to a server on this machine: it reads them where they are.`,
		)
		.action(
			act(async (command, [files, options]: [string[], {id?: string; name?: string}]) => {
				const {io, json} = command;
				const client = await command.connect();
				const progress = createProgress(io);
				progress.show(`reading ${files.length} ${files.length === 1 ? 'file' : 'files'} …`);
				const response = await add(client, command, {files, ...options}).finally(progress.clear);
				const added = (await response.json()) as z.infer<typeof datasetSummarySchema>;
				if (json) return printJson(io, added);
				print(io, `added ${added.id}: ${added.row_count} ${added.row_count === 1 ? 'row' : 'rows'}`);
				print(
					io,
					renderTable(
						['table', 'rows'],
						added.tables.map(({name, rows}) => [name, rows]),
						io,
					),
				);
				for (const {name, notices} of added.tables)
					for (const notice of notices) print(io, paint(io, 'yellow', `note: ${name}: ${printable(notice)}`));
			}),
		);
}

function removeCommand(datasets: Program, act: Act): void {
	datasets
		.command('remove')
		.description('remove a dataset with all its snapshots, for good; runs that used it stay on record')
		.argument('<id>')
		.action(
			act(async ({connect, io, json}, [id]: [string]) => {
				const client = await connect();
				const response = await client.fetch(`/api/v1/datasets/${encodeURIComponent(id)}`, {method: 'DELETE'});
				const reply = (await response.json()) as WorkReply;
				if (json) printJson(io, reply);
				else print(io, describeRemoval(reply, id));
				return reply.status === 'succeeded' || reply.approvalId !== null ? 0 : 1;
			}),
		);
}

function describeRemoval({status, output, error, approvalId, runId}: WorkReply, id: string): string {
	if (approvalId !== null) return `a person has to approve it: writ approvals grant ${approvalId}`;
	if (status === 'succeeded') return `removed ${id}: ${(output as {bytes: number}).bytes} bytes given back`;
	return `${id} stays: ${printable(error?.message ?? status)} (${runId})`;
}

function sampleCommands(datasets: Program, act: Act): void {
	datasets
		.command('samples')
		.description('add the three sample datasets, where they are missing, to the server that runs or else to the data directory')
		.action(
			act(async ({local, io, json}) => {
				const {datasets: samples, where} = await local.addSamples();
				if (json) return printJson(io, {datasets: samples, where});
				print(io, `in ${printable(where)}:`);
				print(
					io,
					renderTable(
						['dataset', 'rows', ''],
						samples.map(({id, rows, added}) => [id, rows, added ? 'added' : 'there already']),
						io,
					),
				);
			}),
		);

	datasets
		.command('verify')
		.description('examine every row of the sample datasets of the data directory, or of one; exit 1 when something is wrong')
		.argument('[id]')
		.action(
			act(async ({local, io, json}, [id]: [string | undefined]) => {
				const checks = await local.verifyDatasets(id);
				const ok = checks.length > 0 && checks.every((check) => check.ok);
				if (json) printJson(io, {ok, checks});
				else {
					for (const check of checks)
						print(io, `${check.ok ? paint(io, 'green', 'ok  ') : paint(io, 'red', 'FAIL')} ${check.name}: ${check.detail}`);
					if (checks.length === 0) print(io, 'nothing was examined');
				}
				return ok ? 0 : 1;
			}),
		);
}

type Addition = {readonly files: readonly string[]; readonly id?: string; readonly name?: string};

/** By path where the server sees this disk and takes it, and as an upload where not. */
async function add(client: Client, {io, signal}: Command, {files, id, name}: Addition): Promise<Response> {
	const named = {...(id && {id}), ...(name && {name})};
	const paths = files.map((file) => resolve(io.cwd, file));
	if (isLocal(client.url)) {
		const body = JSON.stringify({path: paths, ...named});
		const init = {method: 'POST', headers: {'content-type': 'application/json'}, body, signal};
		const response = await client.fetch('/datasets', init).catch(unlessForbidden);
		if (response) return response;
	}
	const form = new FormData();
	for (const [field, value] of Object.entries(named)) form.set(field, value);
	for (const path of paths) form.append('file', await io.openBlob(path), basename(path));
	return client.fetch('/datasets', {method: 'POST', body: form, signal});
}

function unlessForbidden(error: unknown): null {
	if (error instanceof WritError && error.code === 'forbidden') return null;
	throw error;
}

function isLocal(url: string): boolean {
	return ['localhost', '127.0.0.1', '[::1]'].includes(new URL(url).hostname);
}

function describeDataset(
	{id, name, description, version_hash, now, files, relationships}: DatasetSchemaReply,
	io: Command['io'],
): string[] {
	const lines = [
		`${paint(io, 'bold', printable(name))} (${id})`,
		...(description ? [printable(description)] : []),
		`snapshot ${version_hash}${now ? `, "today" is ${now}` : ''}`,
	];
	for (const file of files) {
		const rows = Object.entries(file.schema).map(([column, facts]) => [
			column,
			facts.type,
			facts.nulls,
			facts.distinct,
			facts.min,
			facts.max,
			facts.description,
		]);
		lines.push('', `${paint(io, 'bold', file.name)}: ${file.row_count} rows from ${printable(file.path)}`);
		lines.push(renderTable(['column', 'type', 'nulls', 'distinct', 'min', 'max', 'description'], rows, io));
		lines.push(...file.notices.map((notice) => paint(io, 'yellow', `note: ${printable(notice)}`)));
	}
	if (relationships.length > 0) lines.push('', ...relationships.map(({from, to, type}) => `${from} → ${to} (${type})`));
	return lines;
}
