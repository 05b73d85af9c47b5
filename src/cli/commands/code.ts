import {extname, join, relative, resolve} from 'node:path';
import {Option, type Command as Program} from 'commander';
import type {CodeRequest, GivenFile, TestsRequest, WorkReply} from '#contract/api.ts';
import {ERRORS, WritError} from '#contract/errors.ts';
import {type TestCase, testFrameworkSchema} from '#contract/sandbox.ts';
import {createProgress} from '../answer.ts';
import {type Act, type Command, type Io, paint, print, printable, printJson} from '../io.ts';
import {readScope} from '../read-scope.ts';

export function codeCommands(program: Program, act: Act): void {
	codeCommand(program, act);
	testCommand(program, act);
}

const LANGUAGES: Readonly<Record<string, CodeRequest['language']>> = {
	'.js': 'javascript',
	'.mjs': 'javascript',
	'.py': 'python',
	'.sh': 'shell',
};

type CodeOptions = {
	readonly lang?: CodeRequest['language'];
	readonly in: readonly string[];
	readonly out?: string;
	readonly scope?: string;
};

function codeCommand(program: Program, act: Act): void {
	program
		.command('code')
		.description('run a program in a sandbox without a network; tools it calls are governed one by one')
		.argument('<file>', 'the program; - reads standard input')
		.addOption(
			new Option('-l, --lang <language>', 'by default from the name of the file').choices([...new Set(Object.values(LANGUAGES))]),
		)
		.option('--in <path>', 'a file or directory that the program finds in /in; more than once if need be', collect, [])
		.option('--out <directory>', 'where to put the files that it leaves in /out')
		.option('--scope <file>', 'all that it may call, as YAML; without it whatever policy allows')
		.addHelpText(
			'after',
			'\nExamples:\n  writ code report.mjs --in data/ --out results/\n  echo "uname -a" | writ code - --lang shell',
		)
		.action(
			act(async (command, [file, options]: [string, CodeOptions]) => {
				const language = options.lang ?? LANGUAGES[extname(file)];
				if (!language)
					throw new WritError('invalid_request', 'the language is not known from the name of the file', {hint: 'give --lang'});
				const code = file === '-' ? await command.io.stdin() : await command.io.readFile(file);
				const files = (await Promise.all(options.in.map((path) => readFiles(path, command.io)))).flat();
				const scope = options.scope === undefined ? {} : {scope: await readScope(options.scope, command.io)};
				const request: CodeRequest = {language, code, files, artifacts: options.out !== undefined, ...scope};
				const reply = await send('/api/v1/code', request, command);
				if (options.out !== undefined) await download(reply, options.out, command);
				return printCode(reply, command);
			}),
		);
}

type TestOptions = {readonly framework: TestsRequest['framework']; readonly out?: string};

function testCommand(program: Program, act: Act): void {
	program
		.command('test')
		.description('run tests in a sandbox without a network')
		.argument('<directory>', 'the tests and all they need')
		.argument('[paths...]', 'which of them, below the directory; all, unless stated')
		.addOption(
			new Option('-f, --framework <name>', 'what they are written for')
				.choices(testFrameworkSchema.options)
				.makeOptionMandatory(),
		)
		.option('--out <directory>', 'where to put the files that they leave in /out')
		.addHelpText('after', '\nExample:\n  writ test ./suite --framework pytest')
		.action(
			act(async (command, [directory, paths, {framework, out}]: [string, string[], TestOptions]) => {
				const files = await readFiles(directory, command.io);
				if (files.length === 0) throw new WritError('nothing_tested', `there are no files in ${directory}`);
				const reply = await send('/api/v1/tests', {framework, files, paths}, command);
				if (out !== undefined) await download(reply, out, command);
				return printTests(reply, command);
			}),
		);
}

function collect(path: string, before: readonly string[]): readonly string[] {
	return [...before, path];
}

async function readFiles(path: string, io: Io): Promise<GivenFile[]> {
	const root = resolve(io.cwd, path);
	const files = await io.listFiles(root);
	return Promise.all(
		files.map(async (file) => {
			const content = Buffer.from(await io.readBytes(file)).toString('base64');
			return {name: relative(files[0] === root ? join(root, '..') : root, file), content, encoding: 'base64'} as const;
		}),
	);
}

async function send(path: string, request: CodeRequest | TestsRequest, {connect, io, signal}: Command): Promise<WorkReply> {
	const client = await connect();
	const progress = createProgress(io);
	progress.show('executing …');
	const body = {method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(request), signal};
	const response = await client.fetch(path, body).finally(progress.clear);
	return (await response.json()) as WorkReply;
}

type Output = {
	readonly value?: unknown;
	readonly exitCode?: number | null;
	readonly stdout: string;
	readonly stderr: string;
	readonly counts?: Readonly<Record<string, number>>;
	readonly cases?: readonly TestCase[];
	readonly artifacts: readonly {readonly name: string; readonly sha256: string}[];
	readonly refused: readonly {readonly name: string; readonly reason: string}[];
};

async function download(reply: WorkReply, directory: string, {connect, io}: Command): Promise<void> {
	const {artifacts = [], refused = []} = (reply.output ?? {}) as Partial<Output>;
	const client = await connect();
	for (const {name, sha256} of artifacts) {
		const {body} = await client.fetch(`/api/v1/code/${encodeURIComponent(reply.runId)}/artifacts/${sha256}`);
		if (body) await io.writeFile(join(resolve(io.cwd, directory), name), body);
	}
	for (const {name, reason} of refused) io.err(`not taken: ${printable(name)}: ${reason}\n`);
}

function printCode(reply: WorkReply, command: Command): number {
	const {io, json} = command;
	const output = reply.output as Output | null;
	if (json) printJson(io, reply);
	else {
		if (output?.stdout) io.out(printable(output.stdout));
		if (output?.stderr) io.err(printable(output.stderr));
		if (output && output.value !== null) print(io, printable(JSON.stringify(output.value, null, 2)));
		printEnd(reply, command);
	}
	return output?.exitCode ?? exitOf(reply);
}

function printTests(reply: WorkReply, command: Command): number {
	const {io, json} = command;
	const output = reply.output as Output | null;
	if (json) printJson(io, reply);
	else {
		for (const line of (output?.cases ?? []).flatMap((each) => describeCase(each, io))) print(io, line);
		const counts = Object.entries(output?.counts ?? {}).map(([name, count]) => `${count} ${name}`);
		if (counts.length > 0) print(io, counts.join(', '));
		printEnd(reply, command);
	}
	return output?.exitCode ?? exitOf(reply);
}

const MARKS = {passed: 'green', failed: 'red', error: 'red', skipped: 'yellow'} as const;

function describeCase({file, name, status, message}: TestCase, io: Io): string[] {
	const line = `${paint(io, MARKS[status], status)} ${printable([file, ...name].join(' › '))}`;
	const shown =
		message && status !== 'passed'
			? printable(message)
					.split('\n')
					.map((text) => `    ${text}`)
			: [];
	return [line, ...shown];
}

function printEnd({status, runId, error, approvalId}: WorkReply, {io}: Command): void {
	if (error)
		io.err(
			`${paint(io, 'red', `${error.code}:`)} ${printable(error.message)}\n${error.hint ? `  ${printable(error.hint)}\n` : ''}`,
		);
	if (approvalId) print(io, `waiting for a person: writ approvals approve ${approvalId}`);
	print(io, paint(io, 'dim', `${status} · ${runId} · writ evidence verify ${runId}`));
}

function exitOf({status, error}: WorkReply): number {
	if (status === 'succeeded' || status === 'awaiting_approval') return 0;
	const code = error?.code ?? '';
	return Object.hasOwn(ERRORS, code) ? ERRORS[code as keyof typeof ERRORS].exit : 1;
}
