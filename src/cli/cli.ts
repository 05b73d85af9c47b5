/**
 * The command line: a client of the HTTP API, whether the server is elsewhere or in this process. It decides nothing and keeps
 * nothing; it asks, prints, and exits with the code the error catalogue gives.
 */
import {CommanderError, Command as Program} from 'commander';
import {ERRORS, type ErrorBody, toErrorBody, WritError} from '#contract/errors.ts';
import {accountCommands} from './commands/accounts.ts';
import {approvalCommands} from './commands/approvals.ts';
import {askCommands} from './commands/ask.ts';
import {auditCommands} from './commands/audit.ts';
import {codeCommands} from './commands/code.ts';
import {datasetCommands} from './commands/datasets.ts';
import {evidenceCommands} from './commands/evidence.ts';
import {governanceCommands} from './commands/governance.ts';
import {holdCommands} from './commands/hold.ts';
import {keyCommands} from './commands/keys.ts';
import {policyCommands} from './commands/policy.ts';
import {replayCommand} from './commands/replay.ts';
import {retentionCommands} from './commands/retention.ts';
import {runCommands} from './commands/runs.ts';
import {secretCommands} from './commands/secrets.ts';
import {serveCommand} from './commands/serve.ts';
import {stopCommands} from './commands/stop.ts';
import {tokenCommands} from './commands/tokens.ts';
import {type Act, type CliPorts, paint, printable} from './io.ts';

/** Runs one command line, `argv` without program and script, and returns its exit code. Never throws. */
export async function runCli(argv: readonly string[], ports: CliPorts): Promise<number> {
	const {io, signal} = ports;
	const result = {exit: 0};
	const open: {close(): Promise<void>}[] = [];
	const connect = async () => {
		const client = await ports.connect();
		open.push(client);
		return client;
	};
	const program = createProgram(ports);
	const act: Act =
		(work) =>
		async (...args) => {
			const json = program.opts<{json?: boolean}>().json ?? false;
			const exit = await work({...ports, connect, json}, args as never);
			if (typeof exit === 'number') result.exit = exit;
		};
	for (const add of [
		serveCommand,
		askCommands,
		codeCommands,
		datasetCommands,
		runCommands,
		approvalCommands,
		governanceCommands,
		evidenceCommands,
		keyCommands,
		replayCommand,
		auditCommands,
		holdCommands,
		retentionCommands,
		policyCommands,
		secretCommands,
		stopCommands,
		tokenCommands,
		accountCommands,
	])
		add(program, act);
	prepare(program, io);
	try {
		await program.parseAsync(hoistJson(argv), {from: 'user'});
		return result.exit;
	} catch (thrown) {
		if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : ERRORS.invalid_request.exit;
		return reportError(
			signal.aborted ? new WritError('cancelled', 'interrupted; a run in progress is stopped') : thrown,
			ports,
			argv.includes('--json'),
		);
	} finally {
		for (const client of open) await client.close();
	}
}

function createProgram({version}: CliPorts): Program {
	return new Program('writ')
		.description('Ask data questions; every action is governed, sandboxed and leaves evidence.')
		.version(version)
		.option('--json', 'print one JSON document and nothing else on standard output')
		.addHelpText(
			'after',
			`
Examples:
  writ serve
  writ ask "SLA compliance by priority" --dataset support
  writ datasets add sales.csv
  writ evidence verify run_123

Commands talk to the server at WRIT_URL, or at http://127.0.0.1:8000 if one answers there, or run one of their own.`,
		);
}

/** Every command behaves alike: throws instead of exiting, writes where it is told, suggests on a misspelling. */
function prepare(command: Program, io: CliPorts['io']): void {
	command.exitOverride();
	command.showHelpAfterError('(add --help for what it takes)');
	command.configureOutput({
		writeOut: io.out,
		writeErr: io.err,
		getOutHelpWidth: () => Math.min(io.columns, 100),
		getErrHelpWidth: () => Math.min(io.columns, 100),
		getOutHasColors: () => io.colour,
		getErrHasColors: () => io.colour,
	});
	for (const child of command.commands) prepare(child, io);
}

/** `--json` may stand anywhere. */
function hoistJson(argv: readonly string[]): string[] {
	const end = argv.indexOf('--');
	const options = end === -1 ? argv : argv.slice(0, end);
	if (!options.includes('--json')) return [...argv];
	return ['--json', ...options.filter((word) => word !== '--json'), ...argv.slice(options.length)];
}

function reportError(thrown: unknown, {io}: CliPorts, json: boolean): number {
	const error = toErrorBody(fromSystem(thrown));
	if (json) io.err(`${JSON.stringify({error})}\n`);
	else io.err(describeError(error, io));
	return ERRORS[error.code].exit;
}

function describeError({code, message, hint, details}: ErrorBody, io: CliPorts['io']): string {
	const lines = [`${paint(io, 'red', `${code}:`)} ${printable(message)}`];
	if (hint) lines.push(`  ${printable(hint)}`);
	if (code === 'internal_error' && details.requestId) lines.push(`  request ${printable(String(details.requestId))}`);
	return `${lines.join('\n')}\n`;
}

/** A file that the user named and that cannot be read is the user's to mend. */
function fromSystem(thrown: unknown): unknown {
	const {code, path} = thrown as NodeJS.ErrnoException;
	if (thrown instanceof WritError || typeof code !== 'string') return thrown;
	if (code === 'EISDIR')
		return new WritError('unreadable_file', `${path ?? 'what is named'}: it is a directory`, {cause: thrown});
	if (!path) return thrown;
	const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'permission denied' : code;
	return new WritError('unreadable_file', `${path}: ${reason}`, {cause: thrown});
}
