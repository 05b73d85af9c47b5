import {resolve} from 'node:path';
import {InvalidArgumentError, Option, type Command as Program} from 'commander';
import type {Capsule, ChatResponse} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {runStatusSchema} from '#contract/event.ts';
import {createProgress, printAnswer} from '../answer.ts';
import {type Act, type Io, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

export function runCommands(program: Program, act: Act): void {
	const runs = program.command('runs').description('what was asked and executed');
	listCommand(runs, act);
	showCommand(runs, act);
	controlCommands(runs, act);
	exportCommand(runs, act);
}

function listCommand(runs: Program, act: Act): void {
	runs
		.command('list', {isDefault: true})
		.description('the latest runs')
		.option('-n, --limit <count>', 'how many', toCount, '20')
		.addOption(new Option('--status <status>', 'how they ended').choices(runStatusSchema.options))
		.option('-d, --dataset <id>', 'of one dataset')
		.option('--text <words>', 'whose question holds these words')
		.option('--cursor <cursor>', 'go on after the page that named this cursor')
		.addHelpText('after', '\nExample:\n  writ runs list --status failed --dataset support')
		.action(
			act(async ({connect, io, json}, [options]: [ListOptions]) => {
				const {limit, status, dataset, text, cursor} = options;
				const query = {
					limit,
					...(status && {status}),
					...(dataset && {dataset_id: dataset}),
					...(text && {text}),
					...(cursor && {cursor}),
				};
				const reply = await (await (await connect()).api.runs.$get({query: query as never})).json();
				if (json) return printJson(io, reply);
				const rows = reply.runs.map((run) => [
					run.run_id,
					run.created_at.slice(0, 19).replace('T', ' '),
					run.status,
					run.query_mode,
					run.dataset_id,
					run.question,
				]);
				print(
					io,
					rows.length > 0 ? renderTable(['run', 'created (UTC)', 'status', 'mode', 'dataset', 'question'], rows, io) : 'no runs',
				);
				if (reply.next_cursor) print(io, paint(io, 'dim', `more: --cursor ${reply.next_cursor}`));
			}),
		);
}

function showCommand(runs: Program, act: Act): void {
	runs
		.command('show')
		.description('all that is kept of a run')
		.argument('<run>')
		.action(
			act(async ({connect, io, json}, [runId]: [string]) => {
				const response = await (await connect()).fetch(`/runs/${encodeURIComponent(runId)}`);
				const capsule = (await response.json()) as Capsule;
				if (json) return printJson(io, capsule);
				for (const line of describeRun(capsule, io)) print(io, line);
			}),
		);
}

function controlCommands(runs: Program, act: Act): void {
	runs
		.command('rerun')
		.description('the same question or code again, on the present data')
		.argument('<run>')
		.action(
			act(async (command, [runId]: [string]) => {
				const client = await command.connect();
				const progress = createProgress(command.io);
				progress.show('executing …');
				const path = `/runs/${encodeURIComponent(runId)}/rerun`;
				const response = await client.fetch(path, {method: 'POST', signal: command.signal}).finally(progress.clear);
				return printAnswer((await response.json()) as ChatResponse, command);
			}),
		);

	runs
		.command('cancel')
		.description('stop a run')
		.argument('<run>')
		.action(
			act(async ({connect, io, json}, [runId]: [string]) => {
				const reply = await (await (await connect()).api.runs[':run_id'].cancel.$post({param: {run_id: runId}})).json();
				if (json) printJson(io, reply);
				else print(io, `${reply.run_id} ${reply.status}`);
			}),
		);
}

function exportCommand(runs: Program, act: Act): void {
	runs
		.command('export')
		.description('the full result of a run as a file')
		.argument('<run>')
		.addOption(new Option('--format <format>', 'of the file').choices(['csv', 'xlsx', 'parquet', 'json']).default('csv'))
		.option('-o, --output <file>', 'where to write it; by default <run>.<format> here')
		.addHelpText('after', '\nExample:\n  writ runs export run_123 --format xlsx -o tickets.xlsx')
		.action(
			act(async ({connect, io, json, signal}, [runId, {format, output}]: [string, {format: string; output?: string}]) => {
				if (!/^[\w.-]+$/.test(runId)) throw new WritError('not_found', `there is no run ${runId}`);
				const client = await connect();
				const response = await client.fetch(`/runs/${runId}/export?format=${encodeURIComponent(format)}`, {signal});
				const path = resolve(io.cwd, output ?? `${runId}.${format}`);
				if (response.body) await io.writeFile(path, response.body);
				const truncated = response.headers.get('x-writ-truncated') === 'true';
				if (truncated) io.err('the result has more rows than one file takes; the rest are not in it\n');
				if (json) printJson(io, {path, sha256: response.headers.get('etag')?.replaceAll('"', '') ?? null, truncated});
				else print(io, path);
			}),
		);
}

/** Said here because the server would answer in the terms of its API. */
function toCount(text: string): string {
	if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It has to be a whole number above 0.');
	return text;
}

type ListOptions = {limit: string; status?: string; dataset?: string; text?: string; cursor?: string};

function describeRun(capsule: Capsule, io: Io): string[] {
	const {run_id, created_at, status, dataset_id, dataset_version_hash, question, compiled_sql, python_code, result_json, head} =
		capsule;
	const lines = [`${paint(io, 'bold', run_id)} ${status}, ${created_at}`];
	if (dataset_id) lines.push(`dataset ${dataset_id}, snapshot ${dataset_version_hash}`);
	if (question) lines.push(`asked: ${printable(question)}`);
	if (compiled_sql) lines.push('', printable(compiled_sql));
	if (python_code) lines.push('', printable(python_code));
	if (capsule.assistant_message) lines.push('', printable(capsule.assistant_message));
	if (result_json && result_json.columns.length > 0) lines.push('', renderTable(result_json.columns, result_json.rows, io));
	if (capsule.error_json) lines.push(paint(io, 'red', `${capsule.error_json.code}: ${printable(capsule.error_json.message)}`));
	lines.push(
		'',
		head
			? `evidence: ${head.seq} events, signed by ${head.key_id.slice(0, 16)}`
			: 'evidence: not signed yet, the run has not finished',
	);
	return lines;
}
