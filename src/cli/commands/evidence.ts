import {resolve} from 'node:path';
import type {Command as Program} from 'commander';
import type {Verification} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {type Act, type Command, paint, print, printable, printJson} from '../io.ts';

/** Exit codes of a verification, which scripts rely on. */
const VERDICT_EXIT = {valid: 0, tampered: 1, cannot_tell: 2} as const;

type Trust = {readonly key?: string; readonly anchor?: string};

export function evidenceCommands(program: Program, act: Act): void {
	const evidence = program.command('evidence').description('what runs leave behind');
	verifyCommand(evidence, act);
	exportCommand(evidence, act);
	evidence
		.command('show')
		.description('the report of a run or of a bundle')
		.argument('<run-or-bundle>')
		.action(
			act(async (command, [target]: [string]) => {
				const {io, json, local} = command;
				const files =
					(await local.evidence.read(resolve(io.cwd, target))) ?? (await local.evidence.read(await fetchBundle(command, target)));
				const file = (name: string) => Buffer.from(files?.get(name) ?? '').toString('utf8');
				if (json) io.out(file('evidence.json'));
				else io.out(printable(file('reports/summary.md')));
			}),
		);
}

function verifyCommand(evidence: Program, act: Act): void {
	evidence
		.command('verify')
		.description('check the evidence of a run, or a bundle, an evidence file or the log of all runs without any server')
		.argument('<run-or-path>')
		.option(
			'-k, --key <file>',
			'the .pub file of the platform that should have signed it; a forger signs with a key of their own',
		)
		.option('-a, --anchor <path>', 'where checkpoints were kept (WRIT_ANCHOR): finds a log that was cut or rewritten since')
		.addHelpText(
			'after',
			`
Exit codes: 0 valid, 1 tampered (the first bad file and event are named), 2 cannot tell.
Examples:
  writ evidence verify run_123
  writ evidence verify run_123.tar --key signing.pem.pub
  writ evidence verify .writ/log --anchor /mnt/elsewhere/checkpoints`,
		)
		.action(
			act(async (command, [target, trust]: [string, Trust]) => {
				const verification = await verify(command, target, trust);
				if (command.json) printJson(command.io, verification);
				else for (const line of describeVerification(verification, command)) print(command.io, line);
				return VERDICT_EXIT[verification.verdict];
			}),
		);
}

function exportCommand(evidence: Program, act: Act): void {
	evidence
		.command('export')
		.description('the evidence of a run as something that verifies offline')
		.argument('<run>')
		.option('-o, --output <file>', 'where to write the one file; by default <run>.json here')
		.option('-b, --bundle <path>', 'write a bundle instead: a directory, or an archive if it ends in .tar')
		.addHelpText(
			'after',
			`
A bundle holds signed in-toto statements, a Merkle log, artifacts by their hash, JUnit, SARIF and a report; the same run and key
give the same bytes. The one file is what there is of a run that has not finished.
Example:
  writ evidence export run_123 --bundle evidence/`,
		)
		.action(
			act(async (command, [runId, places]: [string, Places]) => {
				const path =
					places.bundle === undefined ? await exportFile(command, runId, places) : await exportBundle(command, runId, places);
				if (command.json) printJson(command.io, {path});
				else print(command.io, path);
			}),
		);
}

type Places = {readonly output?: string; readonly bundle?: string};

async function exportFile({io, connect}: Command, runId: string, {output}: Places): Promise<string> {
	const path = resolve(io.cwd, output ?? `${runId.replace(/[^\w.-]/g, '_')}.json`);
	const response = await (await connect()).fetch(`/runs/${encodeURIComponent(runId)}/evidence`);
	if (response.body) await io.writeFile(path, response.body);
	return path;
}

async function exportBundle(command: Command, runId: string, {output, bundle = runId}: Places): Promise<string> {
	const {io, local} = command;
	if (output !== undefined)
		throw new WritError('invalid_request', '--output and --bundle are two ways to export', {hint: 'give one of them'});
	const path = resolve(io.cwd, bundle);
	const archive = await fetchBundle(command, runId);
	if (bundle.endsWith('.tar')) await io.writeFile(path, new Blob([archive]).stream());
	else await local.evidence.write((await local.evidence.read(archive)) ?? new Map(), path);
	return path;
}

async function fetchBundle({connect}: Pick<Command, 'connect'>, runId: string): Promise<Uint8Array<ArrayBuffer>> {
	const response = await (await connect()).fetch(`/runs/${encodeURIComponent(runId)}/evidence?format=bundle`);
	return new Uint8Array(await response.arrayBuffer());
}

/** A path that exists is evidence on this machine; everything else names a run. */
async function verify({connect, io, local}: Command, target: string, {key, anchor}: Trust): Promise<Verification> {
	const at = (file: string) => resolve(io.cwd, file);
	const trust = {...(key === undefined ? {} : {key: at(key)}), ...(anchor === undefined ? {} : {anchor: at(anchor)})};
	const verification = await local.evidence.verify(at(target), trust);
	if (verification) return verification;
	if (/[/\\.]/.test(target)) throw new WritError('unreadable_file', `${target}: there is no such file`);
	if (key !== undefined)
		throw new WritError('invalid_request', '--key goes with a file; a server checks its runs with its own key');
	if (anchor !== undefined) {
		const compared = await local.evidence.verify(await fetchBundle({connect}, target), trust);
		if (compared) return compared;
	}
	const client = await connect();
	return (await client.api.runs[':run_id'].verify.$post({param: {run_id: target}})).json() as Promise<Verification>;
}

function describeVerification({verdict, runId, events, keyId, checks, position, file}: Verification, {io}: Command): string[] {
	const style = verdict === 'valid' ? 'green' : verdict === 'tampered' ? 'red' : 'yellow';
	const where = [
		...(file === undefined ? [] : [` at ${printable(file)}`]),
		...(position === null ? [] : [` at event ${position}`]),
	];
	const lines = checks.map(
		(check) =>
			`${check.passed ? paint(io, 'green', 'ok  ') : paint(io, style, 'FAIL')} ${check.name}: ${printable(check.detail)}`,
	);
	const signer = keyId ? `, key ${keyId.slice(0, 16)}` : '';
	return [
		...lines,
		`${paint(io, style, verdict.replace('_', ' '))}${where.join(',')}: ${runId ?? 'unknown run'}, ${events} events${signer}`,
	];
}
