import {Argument, type Command as Program} from 'commander';
import {type Hold, holdSchema, holdsReplySchema} from '#contract/retention.ts';
import {type Act, type Command, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

const PATH = '/api/v1/holds';

/** Legal holds: what must not be erased, whoever asks. */
export function holdCommands(program: Program, act: Act): void {
	const hold = program.command('hold').description('what must not be erased, whoever asks');
	hold
		.command('add')
		.description('keep a run, a thread, the runs over a dataset, or all of your tenant')
		.addArgument(new Argument('<kind>', 'of what').choices(['run', 'thread', 'dataset', 'tenant']))
		.argument('[target]', 'its id; not of your tenant, which there is one of')
		.requiredOption('-m, --reason <text>', 'why; kept on record')
		.addHelpText('after', '\nExample:\n  writ hold add run run_123 --reason "case 2026-14"')
		.action(
			act(async (command, [kind, target, {reason}]: [string, string | undefined, {reason: string}]) =>
				show(command, await post(command, PATH, {kind, target: target ?? '', reason})),
			),
		);
	hold
		.command('list', {isDefault: true})
		.description('holds in force, and those that were released')
		.action(
			act(async (command) => {
				const {io, json} = command;
				const reply = holdsReplySchema.parse(await (await (await command.connect()).fetch(PATH)).json());
				if (json) return printJson(io, reply);
				const rows = reply.holds.map((one) => [
					...[one.holdId, one.state, `${one.kind} ${printable(one.target)}`, printable(one.placedBy)],
					...[one.placedAt.slice(0, 19).replace('T', ' '), printable(one.reason)],
				]);
				print(
					io,
					rows.length > 0 ? renderTable(['hold', 'state', 'what', 'by', 'since (UTC)', 'why'], rows, io) : 'nothing is held',
				);
			}),
		);
	hold
		.command('release')
		.description('release a hold; where there are several people, another one has to do so too')
		.argument('<hold>')
		.requiredOption('-m, --reason <text>', 'why; kept on record')
		.action(
			act(async (command, [holdId, {reason}]: [string, {reason: string}]) =>
				show(command, await post(command, `${PATH}/${encodeURIComponent(holdId)}/release`, {reason})),
			),
		);
}

async function post({connect}: Command, path: string, body: unknown): Promise<Hold> {
	const headers = {'content-type': 'application/json'};
	const response = await (await connect()).fetch(path, {method: 'POST', headers, body: JSON.stringify(body)});
	return holdSchema.parse(await response.json());
}

function show({io, json}: Command, hold: Hold): void {
	if (json) {
		printJson(io, hold);
		return;
	}
	const {holdId, state, kind, target, askedBy} = hold;
	print(io, `${holdId}: ${kind} ${printable(target)} is ${state === 'released' ? 'released' : 'held'}`);
	if (state === 'asked')
		print(
			io,
			`${printable(askedBy ?? '')} asks for its release; another person has to agree with \`writ hold release ${holdId}\``,
		);
}
