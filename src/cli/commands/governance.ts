import type {Command as Program} from 'commander';
import type {Approval, Check} from '#contract/api.ts';
import {type Act, type Io, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

export function governanceCommands(program: Program, act: Act): void {
	approvalCommands(program, act);
	platformCommands(program, act);
}

function approvalCommands(program: Program, act: Act): void {
	const approvals = program.command('approvals').description('actions that wait for a person');
	approvals
		.command('list', {isDefault: true})
		.description('those that wait; with --all, those that were answered too')
		.option('--all', 'whatever their state')
		.action(
			act(async ({connect, io, json}, [{all}]: [{all?: boolean}]) => {
				const query = all ? {} : {state: 'pending' as const};
				const reply = await (await (await connect()).api.api.v1.approvals.$get({query})).json();
				if (json) return printJson(io, reply);
				const rows = reply.approvals.map((row) => [
					row.approvalId,
					row.state,
					row.risk,
					row.tool,
					row.approveBy.slice(0, 19),
					row.preview,
				]);
				print(
					io,
					rows.length > 0 ? renderTable(['approval', 'state', 'risk', 'tool', 'answer by', 'what'], rows, io) : 'nothing waits',
				);
			}),
		);
	for (const verb of ['grant', 'reject'] as const) {
		approvals
			.command(verb)
			.description(
				verb === 'grant' ? 'allow exactly this action, once; its run goes on' : 'refuse the action; its run goes on without it',
			)
			.argument('<approval>')
			.option('-m, --comment <text>', 'why; kept with the run', '')
			.action(
				act(async ({connect, io, json}, [id, {comment}]: [string, {comment: string}]) => {
					const path = `/api/v1/approvals/${encodeURIComponent(id)}/${verb}`;
					const headers = {'content-type': 'application/json'};
					const response = await (await connect()).fetch(path, {method: 'POST', headers, body: JSON.stringify({comment})});
					const approval = (await response.json()) as Approval;
					if (json) printJson(io, approval);
					else print(io, `${approval.approvalId} ${approval.state}; run ${approval.runId} goes on`);
				}),
			);
	}
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
