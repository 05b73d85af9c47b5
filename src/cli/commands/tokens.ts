import {InvalidArgumentError, Option, type Command as Program} from 'commander';
import {MAX_TOKEN_DAYS, meSchema, newTokenSchema, ROLES, tokensReplySchema} from '#contract/identity.ts';
import {type Act, type Command, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

const PATH = '/api/v1/tokens';

type Creating = {
	readonly role: readonly string[];
	readonly tool?: readonly string[];
	readonly kind: string;
	readonly days: number;
};

/** API tokens at the server; a token is printed once, when it is made, and nowhere else. */
export function tokenCommands(program: Program, act: Act): void {
	const tokens = program.command('tokens').description('API tokens: what programs, services and agents show instead of a person');
	tokens
		.command('create')
		.description('make a token with some of your roles; it is printed once, alone on standard output')
		.argument('<name>', 'what it is for; for an agent or a service, its name')
		.addOption(new Option('--role <role...>', 'what it may do').choices([...ROLES]).makeOptionMandatory())
		.option('--tool <tool...>', 'only these tools, by name or as `analyst.*`')
		.addOption(
			new Option('--kind <kind>', 'yourself, an agent of yours, or a service')
				.choices(['user', 'agent', 'service'])
				.default('user'),
		)
		.option('--days <days>', `how long it lasts, at most ${MAX_TOKEN_DAYS}`, toDays, 90)
		.addHelpText('after', '\nFor example:\n  writ tokens create nightly --kind agent --role viewer analyst --days 30 > token.txt')
		.action(act(async (command, [name, options]: [string, Creating]) => create(command, name, options)));
	tokens
		.command('list', {isDefault: true})
		.description('your tokens, without what opens anything')
		.option('--all', 'of everybody in the tenant; takes the role admin')
		.action(act(async (command, [{all}]: [{all?: boolean}]) => list(command, all ?? false)));
	tokens
		.command('revoke')
		.description('end a token, on every server at once')
		.argument('<id>')
		.action(
			act(async ({connect, io, json}, [id]: [string]) => {
				const client = await connect();
				const reply = await client.fetch(`${PATH}/${encodeURIComponent(id)}/revoke`, {method: 'POST'});
				if (json) return printJson(io, await reply.json());
				print(io, `${printable(id)} opens nothing any more`);
			}),
		);
	tokens
		.command('whoami')
		.description('who you are to the server, and what you may do')
		.action(
			act(async ({connect, io, json}) => {
				const me = meSchema.parse(await (await (await connect()).fetch('/api/v1/me')).json());
				if (json) return printJson(io, me);
				const {kind, id, tenant, roles, onBehalfOf, tools} = me;
				print(io, printable(`${kind} ${id} of ${tenant}${onBehalfOf === null ? '' : `, for ${onBehalfOf}`}`));
				print(io, `roles: ${roles.join(', ') || 'none'}`);
				if (tools) print(io, printable(`only the tools: ${tools.join(', ')}`));
			}),
		);
}

async function create({connect, io, json}: Command, name: string, {role, tool, kind, days}: Creating): Promise<void> {
	const body = {name, kind, roles: role, expiresInDays: days, ...(tool && {tools: tool})};
	const client = await connect();
	const headers = {'content-type': 'application/json'};
	const reply = await client.fetch(PATH, {method: 'POST', headers, body: JSON.stringify(body)});
	const made = newTokenSchema.parse(await reply.json());
	if (json) return printJson(io, made);
	io.err(`${made.tokenId}, until ${made.expiresAt}; it is shown only now\n`);
	print(io, made.token);
}

async function list({connect, io, json}: Command, all: boolean): Promise<void> {
	const client = await connect();
	const found = tokensReplySchema.parse(await (await client.fetch(`${PATH}${all ? '?all=true' : ''}`)).json());
	if (json) return printJson(io, found);
	if (found.tokens.length === 0) return print(io, 'no tokens; `writ tokens create NAME --role viewer` makes one');
	const rows = found.tokens.map(({tokenId, name, kind, owner, roles, tools, expiresAt, lastUsedAt, state}) => [
		...[tokenId, printable(name), kind, owner ?? '-', roles.join(' '), tools?.join(' ') ?? 'all'],
		...[expiresAt.slice(0, 10), lastUsedAt?.slice(0, 16).replace('T', ' ') ?? 'never'],
		state === 'active' ? state : paint(io, 'red', state),
	]);
	print(io, renderTable(['id', 'name', 'kind', 'owner', 'roles', 'tools', 'until', 'last used', 'state'], rows, io));
}

function toDays(text: string): number {
	const days = Number(text);
	if (Number.isInteger(days) && days >= 1 && days <= MAX_TOKEN_DAYS) return days;
	throw new InvalidArgumentError(`expected a number from 1 to ${MAX_TOKEN_DAYS}`);
}
