import {Argument, type Command as Program} from 'commander';
import {MODES, type Mode, type ModeReply, type ModeScope, modeReplySchema, modeSchema} from '#contract/mode.ts';
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
		.description('whether the platform, a tenant, an agent or a tool is stopped, by whom and why; or change it')
		.addArgument(new Argument('[mode]', 'without it the modes are shown').choices([...MODES]))
		.option('--tenant <tenant>', 'for your tenant only')
		.option('--agent <agent>', 'for this agent, service or schedule only')
		.option('--tool <tool>', 'for this tool only, or a prefix such as `code.*`')
		.option('-m, --reason <text>', 'why; kept on record', '')
		.action(
			act(async (command, [mode, {reason, tenant, agent, tool}]: [string | undefined, ScopeOptions]) => {
				if (mode !== undefined) {
					const scope = (tenant ?? agent ?? tool) ? {scope: {tenant, agent, tool}} : {};
					return change(command, {mode: modeSchema.parse(mode), reason, ...scope});
				}
				const client = await command.connect();
				show(command, modeReplySchema.parse(await (await client.fetch(PATH)).json()));
			}),
		);
}

type ScopeOptions = {readonly reason: string} & {readonly [Part in keyof ModeScope]?: string | undefined};
type Wanted = {readonly mode: Mode; readonly reason: string; readonly scope?: Omit<ScopeOptions, 'reason'>};

async function change(command: Command, wanted: Wanted): Promise<void> {
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
	print(io, describe(state));
	for (const one of state.scoped) print(io, `${printable(nameOf(one.scope))}: ${describe(one)}`);
	for (const {scope, mode} of state.defaults) print(io, `${printable(nameOf(scope))}: ${mode}, set by policy.yaml`);
	for (const {asked, scope} of [{...state, scope: {}}, ...state.scoped])
		if (asked !== null)
			print(
				io,
				`${printable(asked.by.id)} asks for ${asked.mode}; another person has to agree with \`${again(scope, asked.mode)}\``,
			);
}

function describe({mode, by, since, reason, held}: Omit<ModeReply, 'scoped' | 'defaults'>): string {
	if (by === null) return mode;
	const said = `${mode}, set by ${printable(by.id)} at ${since?.slice(0, 19)}${reason === '' ? '' : `: ${printable(reason)}`}`;
	return held ? `${said} (not on record yet: in force on this server only)` : said;
}

function nameOf(scope: ModeScope): string {
	return (
		Object.entries(scope)
			.map(([name, value]) => `${name} ${value}`)
			.join(', ') || 'everybody'
	);
}

function again(scope: ModeScope, mode: Mode): string {
	const options = Object.entries(scope).map(([name, value]) => ` --${name} ${printable(value ?? '')}`);
	return options.length === 0 ? 'writ resume' : `writ mode ${mode}${options.join('')}`;
}
