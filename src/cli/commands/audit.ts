import {resolve} from 'node:path';
import {Option, type Command as Program} from 'commander';
import type {AuditReply} from '#contract/audit.ts';
import {type Act, type Command, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

type Filters = Readonly<Record<string, string | undefined>>;

export function auditCommands(program: Program, act: Act): void {
	const audit = program.command('audit').description('what people and agents did, across runs');
	withFilters(audit.command('search', {isDefault: true}).description('who did what, why, and where its evidence is'))
		.option('-n, --limit <count>', 'how many', '20')
		.option('--cursor <cursor>', 'go on after the page that named this cursor')
		.addHelpText('after', '\nExample:\n  writ audit search --decision deny --since 2026-01-31T00:00:00Z')
		.action(
			act(async (command, [filters]: [Filters]) => {
				const {io, json} = command;
				const reply = await fetchPage(command, filters);
				if (json) return printJson(io, reply);
				const rows = reply.entries.map((entry) => [
					entry.at.slice(0, 19).replace('T', ' '),
					entry.actor === entry.principal ? entry.actor : `${entry.actor} for ${entry.principal}`,
					entry.type,
					entry.tool ?? entry.mode,
					entry.decision ?? '',
					`${entry.runId}/${entry.seq}`,
					[entry.client, entry.address].filter(Boolean).join(' '),
					printable(entry.detail),
				]);
				const names = ['at (UTC)', 'who', 'what', 'tool', 'decision', 'evidence', 'from', 'why'];
				print(io, rows.length > 0 ? renderTable(names, rows, io) : 'nothing was found');
				if (reply.nextCursor) print(io, paint(io, 'dim', `more: --cursor ${reply.nextCursor}`));
			}),
		);

	withFilters(audit.command('export').description('all that is found, with the place of each in its chain'))
		.addOption(
			new Option('-f, --format <format>', 'lines of JSON, or CSV without formulas').choices(['ndjson', 'csv']).default('ndjson'),
		)
		.option('-o, --output <file>', 'where to write it; by default to standard output')
		.action(
			act(async ({connect, io, json}, [{output, ...filters}]: [Filters]) => {
				const {body} = await (await connect()).fetch(`/api/v1/audit/export?${toQuery(filters)}`);
				if (output === undefined) {
					const decoder = new TextDecoder();
					for await (const bytes of body ?? []) io.out(decoder.decode(bytes, {stream: true}));
					return;
				}
				const path = resolve(io.cwd, output);
				if (body) await io.writeFile(path, body);
				if (json) printJson(io, {path});
				else print(io, path);
			}),
		);
}

function withFilters(command: Program): Program {
	return command
		.option('-p, --principal <id>', 'who acted, or on whose behalf')
		.option('-t, --tool <name>', 'of one tool')
		.addOption(new Option('--effect <effect>', 'of what tools do to the world').choices(['read', 'write', 'destructive']))
		.addOption(new Option('--decision <decision>', 'of the gates').choices(['allow', 'ask', 'deny']))
		.option('--type <type>', 'of the event, such as approval.granted')
		.option('--run <run>', 'of one run')
		.option('--text <words>', 'in the reasons, comments and errors')
		.option('--address <address>', 'asked from there')
		.addOption(new Option('--client <client>', 'asked with that').choices(['page', 'cli', 'api', 'internal']))
		.option('--since <time>', 'at or after, as 2026-01-31T09:00:00Z')
		.option('--until <time>', 'before');
}

async function fetchPage({connect}: Command, filters: Filters): Promise<AuditReply> {
	return (await (await (await connect()).fetch(`/api/v1/audit?${toQuery(filters)}`)).json()) as AuditReply;
}

function toQuery(filters: Filters): URLSearchParams {
	return new URLSearchParams(Object.entries(filters).filter((given): given is [string, string] => Boolean(given[1])));
}
