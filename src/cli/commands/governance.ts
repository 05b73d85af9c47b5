import type {Command as Program} from 'commander';
import type {Check} from '#contract/api.ts';
import {type BudgetUse, budgetReplySchema} from '#contract/budget.ts';
import {type Act, type Io, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

export function governanceCommands(program: Program, act: Act): void {
	platformCommands(program, act);
	budgetCommand(program, act);
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

function budgetCommand(program: Program, act: Act): void {
	program
		.command('budget')
		.description('what your tenant may use, what it has used and reserved, and when that starts anew')
		.action(
			act(async ({connect, io, json}) => {
				const reply = budgetReplySchema.parse(await (await (await connect()).fetch('/api/v1/budget')).json());
				if (json) return printJson(io, reply);
				print(io, renderTable(['budget', 'used', 'reserved', 'limit', 'unit', 'anew'], reply.budgets.map(toRow), io));
				if (reply.window === null) print(io, 'policy.yaml limits nothing under `budgets.tenant`');
			}),
		);
}

function toRow({name, used, reserved, limit, unit, renewsAt}: BudgetUse): readonly string[] {
	return [name, `${used}`, `${reserved}`, limit === null ? 'no limit' : `${limit}`, unit, renewsAt ?? 'when given back'];
}

function describeCheck({name, ok, required, why, fix}: Check, io: Io): string[] {
	const mark = ok ? paint(io, 'green', 'ok     ') : required ? paint(io, 'red', 'missing') : paint(io, 'yellow', 'absent ');
	return [`${mark} ${name}: ${printable(why)}`, ...(fix && !ok ? [`        → ${printable(fix)}`] : [])];
}
