import {resolve} from 'node:path';
import type {Command as Program} from 'commander';
import type {Approval, Check, Verification} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {type Act, type Command, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

/** Exit codes of a verification, which scripts rely on. */
const VERDICT_EXIT = {valid: 0, tampered: 1, cannot_tell: 2} as const;

export function governanceCommands(program: Program, act: Act): void {
	approvalCommands(program, act);
	evidenceCommands(program, act);
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

function evidenceCommands(program: Program, act: Act): void {
	const evidence = program.command('evidence').description('what runs leave behind');
	evidence
		.command('verify')
		.description('check the evidence of a run, or an evidence file without any server')
		.argument('<run-or-file>')
		.option(
			'-k, --key <file>',
			'the .pub file of the platform that should have signed it; a forger signs with a key of their own',
		)
		.addHelpText(
			'after',
			`
Exit codes: 0 valid, 1 tampered (the first bad event is named), 2 cannot tell.
Examples:
  writ evidence verify run_123
  writ evidence verify run_123.json --key signing.pem.pub`,
		)
		.action(
			act(async (command, [target, {key}]: [string, {key?: string}]) => {
				const verification = await verify(command, target, key ?? null);
				if (command.json) printJson(command.io, verification);
				else for (const line of describeVerification(verification, command)) print(command.io, line);
				return VERDICT_EXIT[verification.verdict];
			}),
		);
	evidence
		.command('export')
		.description('the evidence of a run as one file that verifies offline')
		.argument('<run>')
		.option('-o, --output <file>', 'where to write it; by default <run>.json here')
		.action(
			act(async ({connect, io, json}, [runId, {output}]: [string, {output?: string}]) => {
				const response = await (await connect()).fetch(`/runs/${encodeURIComponent(runId)}/evidence`);
				const path = resolve(io.cwd, output ?? `${runId.replace(/[^\w.-]/g, '_')}.json`);
				if (response.body) await io.writeFile(path, response.body);
				if (json) printJson(io, {path});
				else print(io, path);
			}),
		);
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

/** A path that exists is a file; everything else names a run. */
async function verify({connect, io, local}: Command, target: string, key: string | null): Promise<Verification> {
	const bytes = await io.readBytes(resolve(io.cwd, target)).catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT' && !/[/\\.]/.test(target)) return null;
		throw error;
	});
	if (bytes) return local.verifyFile(bytes, key === null ? null : await io.readFile(resolve(io.cwd, key)));
	if (key !== null) throw new WritError('invalid_request', '--key goes with a file; a server checks its runs with its own key');
	const client = await connect();
	return (await client.api.runs[':run_id'].verify.$post({param: {run_id: target}})).json() as Promise<Verification>;
}

function describeVerification({verdict, runId, events, keyId, checks, position}: Verification, {io}: Command): string[] {
	const style = verdict === 'valid' ? 'green' : verdict === 'tampered' ? 'red' : 'yellow';
	const where = position === null ? '' : ` at event ${position}`;
	const lines = checks.map(
		(check) =>
			`${check.passed ? paint(io, 'green', 'ok  ') : paint(io, style, 'FAIL')} ${check.name}: ${printable(check.detail)}`,
	);
	const signer = keyId ? `, key ${keyId.slice(0, 16)}` : '';
	return [
		...lines,
		`${paint(io, style, verdict.replace('_', ' '))}${where}: ${runId ?? 'unknown run'}, ${events} events${signer}`,
	];
}

function describeCheck({name, ok, required, why, fix}: Check, io: Command['io']): string[] {
	const mark = ok ? paint(io, 'green', 'ok     ') : required ? paint(io, 'red', 'missing') : paint(io, 'yellow', 'absent ');
	return [`${mark} ${name}: ${printable(why)}`, ...(fix && !ok ? [`        → ${printable(fix)}`] : [])];
}
