import {resolve} from 'node:path';
import {Option, type Command as Program} from 'commander';
import type {AuditEntry, AuditReply} from '#contract/audit.ts';
import {type Act, type Command, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

type Filters = Readonly<Record<string, string | undefined>>;

const FILTERS = ['principal', 'tool', 'effect', 'decision', 'type', 'run', 'text', 'since', 'until', 'cursor', 'limit'];

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
					printable(entry.detail),
				]);
				const names = ['at (UTC)', 'who', 'what', 'tool', 'decision', 'evidence', 'why'];
				print(io, rows.length > 0 ? renderTable(names, rows, io) : 'nothing was found');
				if (reply.nextCursor) print(io, paint(io, 'dim', `more: --cursor ${reply.nextCursor}`));
			}),
		);

	withFilters(audit.command('export').description('all that is found, as JSON lines with the place of each in its chain'))
		.option('-o, --output <file>', 'where to write it; by default to standard output')
		.action(
			act(async (command, [{output, ...filters}]: [Filters]) => {
				const {io, json} = command;
				if (output === undefined) {
					for await (const entry of all(command, filters)) io.out(`${JSON.stringify(entry)}\n`);
					return;
				}
				const path = resolve(io.cwd, output);
				await io.writeFile(path, ReadableStream.from(lines(command, filters)));
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
		.option('--since <time>', 'at or after, as 2026-01-31T09:00:00Z')
		.option('--until <time>', 'before');
}

async function fetchPage({connect}: Command, filters: Filters): Promise<AuditReply> {
	const given = FILTERS.map((name) => [name, filters[name] ?? ''] as [string, string]).filter(([, value]) => value !== '');
	return (await (await (await connect()).fetch(`/api/v1/audit?${new URLSearchParams(given)}`)).json()) as AuditReply;
}

/** Every page, newest entry first. */
async function* all(command: Command, filters: Filters): AsyncGenerator<AuditEntry> {
	const client = await command.connect();
	const held = {...command, connect: async () => client};
	let page = await fetchPage(held, {...filters, limit: '200'});
	for (;;) {
		yield* page.entries;
		if (page.nextCursor === null) return;
		page = await fetchPage(held, {...filters, limit: '200', cursor: page.nextCursor});
	}
}

async function* lines(command: Command, filters: Filters): AsyncGenerator<Uint8Array> {
	for await (const entry of all(command, filters)) yield Buffer.from(`${JSON.stringify(entry)}\n`);
}
