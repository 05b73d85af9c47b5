import type {Command as Program} from 'commander';
import {type Act, paint, print, printable, printJson} from '../io.ts';

export function keyCommands(program: Program, act: Act): void {
	const keys = program.command('keys').description('the keys that sign evidence, on the machine of the data directory');
	keys
		.command('list', {isDefault: true})
		.description('all there ever were, oldest first')
		.action(
			act(async ({local, io, json}) => {
				const records = await local.keys.list();
				if (json) return printJson(io, {keys: records});
				const revoked = new Map(records.flatMap(({revokes}) => (revokes ? [[revokes.keyId, revokes.reason] as const] : [])));
				for (const {keyId, since} of records) {
					const reason = revoked.get(keyId);
					const state = reason === undefined ? '' : paint(io, 'red', ` revoked: ${printable(reason)}`);
					print(io, `${keyId} since ${since ?? 'the beginning'}${state}`);
				}
			}),
		);
	keys
		.command('rotate')
		.description('sign with a new key from now on, which the old one vouches for; what the old one signed stays verifiable')
		.option(
			'--revoke <reason>',
			'the old key is not to be trusted any more; without an anchor, nothing tells what it signed before',
		)
		.addHelpText(
			'after',
			'\nServers that run go on with the new key by themselves. Give its .pub file to whoever checks evidence.',
		)
		.action(
			act(async ({local, io, json}, [{revoke}]: [{revoke?: string}]) => {
				const record = await local.keys.rotate(revoke ?? null);
				if (json) printJson(io, record);
				else
					print(
						io,
						`${record.keyId} signs from now on; ${record.previous} ${revoke === undefined ? 'is retired' : 'is revoked'}`,
					);
			}),
		);
}
