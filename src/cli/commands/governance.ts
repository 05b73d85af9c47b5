import type {Command as Program} from 'commander';
import type {Check} from '#contract/api.ts';
import {type Act, type Io, paint, print, printable, printJson} from '../io.ts';

export function governanceCommands(program: Program, act: Act): void {
	platformCommands(program, act);
}

function platformCommands(program: Program, act: Act): void {
	program
		.command('doctor')
		.description('what is here, what is missing, and the command that gets it')
		.action(
			act(async ({connect, io, json}) => {
				const reply = await (await (await connect()).api.api.v1.doctor.$get()).json();
				if (json) printJson(io, reply);
				else for (const check of reply.checks as Check[]) for (const line of describeCheck(check, io)) print(io, line);
				return reply.ok ? 0 : 1;
			}),
		);

	program
		.command('openapi')
		.description('the API as an OpenAPI document')
		.action(act(async ({connect, io}) => printJson(io, await (await (await connect()).fetch('/openapi.json')).json())));
}

function describeCheck({name, ok, required, why, fix}: Check, io: Io): string[] {
	const mark = ok ? paint(io, 'green', 'ok     ') : required ? paint(io, 'red', 'missing') : paint(io, 'yellow', 'absent ');
	return [`${mark} ${name}: ${printable(why)}`, ...(fix && !ok ? [`        → ${printable(fix)}`] : [])];
}
