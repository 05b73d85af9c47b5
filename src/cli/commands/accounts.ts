import type {Command as Program} from 'commander';
import {accountsReplySchema} from '#contract/identity.ts';
import {type Act, type Command, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

const PATH = '/api/v1/accounts';

/** Accounts of the settings and people who signed in, for whoever administers their tenant. */
export function accountCommands(program: Program, act: Act): void {
	const accounts = program.command('accounts').description('people of your tenant; takes the role admin');
	accounts
		.command('list', {isDefault: true})
		.description('who they are, where their account is from, and their roles')
		.action(act(async (command) => show(command, await (await command.connect()).fetch(PATH))));
	for (const [verb, disabled, about] of [
		['disable', true, 'end the sessions of an account, and all that acts for it, and let it in no more'],
		['enable', false, 'let a disabled account in again'],
	] as const)
		accounts
			.command(verb)
			.description(about)
			.argument('<account>')
			.action(
				act(async (command, [account]: [string]) => {
					const client = await command.connect();
					const sent = {body: JSON.stringify({disabled}), headers: {'content-type': 'application/json'}};
					await show(command, await client.fetch(`${PATH}/${encodeURIComponent(account)}`, {method: 'POST', ...sent}));
				}),
			);
}

async function show({io, json}: Command, reply: Response): Promise<void> {
	const found = accountsReplySchema.parse(await reply.json());
	if (json) return printJson(io, found);
	if (found.accounts.length === 0) return print(io, 'there are no accounts');
	const rows = found.accounts.map(({account, name, source, roles, signedInAt, disabledAt}) => [
		...[printable(account), printable(name), source, roles.join(' '), signedInAt?.slice(0, 16).replace('T', ' ') ?? '-'],
		disabledAt === null ? 'enabled' : paint(io, 'red', 'disabled'),
	]);
	print(io, renderTable(['account', 'name', 'from', 'roles', 'signed in', 'state'], rows, io));
}
