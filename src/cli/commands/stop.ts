import type {Command as Program} from 'commander';
import {type Mode, type ModeReply, modeReplySchema} from '#contract/mode.ts';
import {type Act, type Command, print, printable, printJson} from '../io.ts';

const PATH = '/api/v1/kill-switch';

/** The mode of the whole platform: one command stops it, another lets it go on. */
export function stopCommands(program: Program, act: Act): void {
	program
		.command('stop')
		.description('stop everything, on every server: what runs is ended, what waits is cancelled, nothing starts')
		.option('-m, --reason <text>', 'why; kept on record', '')
		.option('--propose', 'let runs go on, but ask a person before every action')
		.action(
			act(async (command, [{reason, propose}]: [{reason: string; propose?: boolean}]) =>
				change(command, {mode: propose ? 'propose' : 'observe', reason}),
			),
		);
	program
		.command('resume')
		.description('let a stopped platform go on; where there are several people, another one has to say so too')
		.option('-m, --reason <text>', 'why; kept on record', '')
		.option('--propose', 'ask a person before every action')
		.action(
			act(async (command, [{reason, propose}]: [{reason: string; propose?: boolean}]) =>
				change(command, {mode: propose ? 'propose' : 'execute', reason}),
			),
		);
	program
		.command('mode')
		.description('whether the platform is stopped, by whom and why')
		.action(
			act(async (command) => {
				const client = await command.connect();
				show(command, modeReplySchema.parse(await (await client.fetch(PATH)).json()));
			}),
		);
}

async function change(command: Command, wanted: {readonly mode: Mode; readonly reason: string}): Promise<void> {
	const client = await command.connect();
	const headers = {'content-type': 'application/json'};
	const response = await client.fetch(PATH, {method: 'POST', headers, body: JSON.stringify(wanted)});
	show(command, modeReplySchema.parse(await response.json()));
}

function show({io, json}: Command, state: ModeReply): void {
	if (json) {
		printJson(io, state);
		return;
	}
	const {mode, by, since, reason, asked} = state;
	const who =
		by === null ? '' : `, set by ${printable(by.id)} at ${since?.slice(0, 19)}${reason === '' ? '' : `: ${printable(reason)}`}`;
	print(io, `${mode}${who}`);
	if (asked !== null)
		print(io, `${printable(asked.by.id)} asks for ${asked.mode}; another person has to agree with \`writ resume\``);
}
