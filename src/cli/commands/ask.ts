import type {Command as Program} from 'commander';
import type {RunRequest} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {createProgress, followTurn, printAnswer} from '../answer.ts';
import type {Act} from '../io.ts';
import {readScope} from '../read-scope.ts';

export function askCommands(program: Program, act: Act): void {
	askCommand(program, act);
	runCommand(program, act);
}

type AskOptions = {readonly dataset: string; readonly thread?: string; readonly scope?: string};

function askCommand(program: Program, act: Act): void {
	program
		.command('ask')
		.description('ask a question of a dataset and print the answer, the table it rests on and the id of its evidence')
		.argument('<question>', 'in words; or SQL: or PYTHON: and code')
		.requiredOption('-d, --dataset <id>', 'the dataset to ask')
		.option('-t, --thread <id>', 'go on with a conversation')
		.option('--scope <file>', 'all that may be done to answer it, as YAML; without it whatever policy allows')
		.addHelpText(
			'after',
			`
Examples:
  writ ask "SLA compliance by priority" --dataset support
  writ ask "SQL: select count(*) from tickets" -d support --json`,
		)
		.action(
			act(async (command, [question, options]: [string, AskOptions]) => {
				if (question.trim() === '') throw new WritError('invalid_request', 'the question is empty');
				const {dataset, thread, scope} = options;
				const given = {...(thread && {thread_id: thread}), ...(scope && {scope: await readScope(scope, command.io)})};
				const body = {dataset_id: dataset, message: question, ...given};
				const client = await command.connect();
				const response = await client.fetch('/chat/stream', jsonPost(body, command.signal));
				return printAnswer(await followTurn(response, command), command);
			}),
		);
}

function runCommand(program: Program, act: Act): void {
	program
		.command('run')
		.description('run SQL, Python or a query plan, without an agent')
		.requiredOption('-d, --dataset <id>', 'the dataset to run on')
		.option('--sql <text>', 'one SELECT')
		.option('--python <text>', 'a program that sets `result`')
		.option('--plan <file>', 'a query plan as JSON; - reads standard input')
		.option('-f, --file <file>', 'SQL or Python (.py) from a file; - reads SQL from standard input')
		.addHelpText(
			'after',
			`
Examples:
  writ run -d support --sql "select priority, count(*) from tickets group by 1"
  writ run -d support --file analysis.py
  echo '{"table": "tickets", "limit": 5}' | writ run -d support --plan -`,
		)
		.action(
			act(async (command, [options]: [RunOptions]) => {
				const body = await toRunRequest(options, command.io);
				const client = await command.connect();
				const progress = createProgress(command.io);
				progress.show('executing …');
				const response = await client.fetch('/runs', jsonPost(body, command.signal)).finally(progress.clear);
				return printAnswer((await response.json()) as Parameters<typeof printAnswer>[0], command);
			}),
		);
}

type RunOptions = {dataset: string; sql?: string; python?: string; plan?: string; file?: string};
type Reader = {readonly stdin: () => Promise<string>; readonly readFile: (path: string) => Promise<string>};

async function toRunRequest({dataset, sql, python, plan, file}: RunOptions, io: Reader): Promise<Partial<RunRequest>> {
	const given = [sql, python, plan, file].filter((value) => value !== undefined);
	if (given.length !== 1) throw new WritError('invalid_request', 'give exactly one of --sql, --python, --plan and --file');
	const read = (path: string) => (path === '-' ? io.stdin() : io.readFile(path));
	const request = {dataset_id: dataset};
	if (sql !== undefined) return {...request, query_type: 'sql', sql};
	if (python !== undefined) return {...request, query_type: 'python', python_code: python};
	if (plan !== undefined) return {...request, query_type: 'plan', plan_json: parsePlan(await read(plan))};
	const code = await read(file ?? '-');
	return file?.endsWith('.py')
		? {...request, query_type: 'python', python_code: code}
		: {...request, query_type: 'sql', sql: code};
}

function parsePlan(text: string): Record<string, unknown> {
	try {
		return JSON.parse(text) as Record<string, unknown>;
	} catch (cause) {
		throw new WritError('invalid_plan', `the plan is not JSON: ${(cause as Error).message}`, {cause});
	}
}

function jsonPost(body: unknown, signal: AbortSignal): RequestInit {
	return {method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(body), signal};
}
