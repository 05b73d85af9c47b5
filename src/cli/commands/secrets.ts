import type {Command as Program} from 'commander';
import {type Act, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

/** Secrets of this machine's data directory. Values come from standard input or are asked for; no command shows one. */
export function secretCommands(program: Program, act: Act): void {
	const secrets = program.command('secrets').description('secrets that settings and the way out of sandboxes refer to');
	secrets
		.command('list', {isDefault: true})
		.description('names and times; never a value')
		.action(
			act(async ({local, io, json}) => {
				const found = await local.secrets.list();
				if (json) return printJson(io, {secrets: found});
				const rows = found.map(({name, source, createdAt, changedAt, lastUsedAt}) => [
					...[name, source, minute(createdAt), minute(changedAt)],
					lastUsedAt === null ? 'never' : minute(lastUsedAt),
				]);
				const columns = ['name', 'from', 'created', 'changed', 'last used'];
				print(io, rows.length > 0 ? renderTable(columns, rows, io) : 'no secrets; `writ secrets set NAME` adds one');
			}),
		);
	secrets
		.command('set')
		.description('keep a secret, encrypted; a setting refers to it as secret:NAME')
		.argument('<name>')
		.addHelpText('after', '\nThe value is asked for, or read from standard input:\n  writ secrets set github-token < token.txt')
		.action(
			act(async ({local, io, json}, [name]: [string]) => {
				await local.secrets.set(name, await io.askSecret(`value of ${printable(name)}: `));
				if (json) printJson(io, {name});
				else print(io, `${printable(name)} is kept; refer to it as secret:${printable(name)}`);
			}),
		);
	secrets
		.command('delete')
		.description('forget a secret')
		.argument('<name>')
		.action(
			act(async ({local, io, json}, [name]: [string]) => {
				await local.secrets.delete(name);
				if (json) printJson(io, {name});
				else print(io, `${printable(name)} is deleted`);
			}),
		);
	secrets
		.command('rotate-key')
		.description('encrypt all of them with a new key; where there is a passphrase, with a new one, which is asked for')
		.action(
			act(async ({local, io, json}) => {
				const said = await local.secrets.rotateKey(() => io.askSecret('new passphrase: '));
				if (json) printJson(io, {rotated: true});
				else print(io, said);
			}),
		);
}

function minute(time: string | null): string {
	return time === null ? '' : time.slice(0, 16);
}
