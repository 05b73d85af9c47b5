/**
 * Runs test files with the framework they were written for, and exits. Started as `node tests.ts '{"limits": …}' [python]`. The files in `/in` are
 * copied to scratch space, where a test may write next to itself; the framework runs as a child and says each case, as JSON in a line,
 * on its descriptor 4.
 */
import {spawn} from 'node:child_process';
import {cpSync, existsSync, mkdirSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable} from 'node:stream';
import type {RunnerRequest, TestCase, TestFramework} from '#contract/sandbox.ts';
import {exitCodeOf} from './exit-code.ts';
import {parseArguments, RunnerError, sendFrame, serve} from './frames.ts';

const MOST_TEXT = 4_000;
/** Of one line: a case with the longest message that is kept, and room for names. */
const MOST_LINE = 64 * 1024;
const STATUSES: ReadonlySet<unknown> = new Set<TestCase['status']>(['passed', 'failed', 'skipped', 'error']);

const {roots} = parseArguments(process.argv[2]);
const place = join(roots.scratch, 'tests');
await serve(answer);

async function answer(request: RunnerRequest): Promise<void> {
	if (request.kind !== 'tests')
		throw new RunnerError('runner_internal_error', `the tests runner was asked for \`${request.kind}\``);
	copyTests();
	const paths = request.paths.map(findPath);
	const [program, ...args] = commandFor(request.framework);
	const child = spawn(program, [...args, ...paths], {cwd: place, stdio: ['ignore', 'inherit', 'inherit', 'ignore', 'pipe']});
	const [exitCode, cases] = await Promise.all([exitCodeOf(child), report(child.stdio[4] as Readable, request.maxBytes)]);
	if (cases === 0)
		throw new RunnerError('nothing_tested', `${request.framework} found no tests and ended with ${exitCode}`, {
			hint: 'look at what it printed; a check that examined nothing has failed',
			details: {exitCode},
		});
	sendFrame({type: 'done', exitCode, totalRows: null, truncated: null, nonFinite: 0});
}

function copyTests(): void {
	if (existsSync(roots.in)) cpSync(roots.in, place, {recursive: true});
	else mkdirSync(place);
}

/** Relative, and there: what starts with a hyphen would be an option. */
function findPath(path: string): string {
	const found = `./${path}`;
	if (path.split('/').includes('..') || !existsSync(join(place, found)))
		throw new RunnerError('nothing_tested', `there is no \`${path}\` among the files`, {
			hint: 'name a file or a directory below /in',
		});
	return statSync(join(place, found)).isDirectory() ? `${found}/` : found;
}

function commandFor(framework: TestFramework): [string, ...string[]] {
	const script = (name: string) => join(import.meta.dirname, name);
	if (framework === 'pytest') return [process.argv[3] ?? 'python3', '-B', script('tests-pytest.py')];
	return [process.execPath, '--no-warnings', script(`tests-${framework}.ts`)];
}

/** Sends a frame for each case, and resolves to how many there were once nobody can say another. */
async function report(lines: Readable, maxBytes: number): Promise<number> {
	const state = {cases: 0, bytes: 0};
	for await (const line of createInterface({input: lines})) {
		state.bytes += line.length;
		if (state.bytes > maxBytes)
			throw new RunnerError('runner_resource_exceeded', `the cases are larger than ${maxBytes} bytes`, {
				hint: 'run fewer tests at a time',
				details: {limit: 'maxBytes', value: maxBytes},
			});
		if (line.length > MOST_LINE) throw new RunnerError('runner_internal_error', 'a case has a name that is too long');
		sendFrame({type: 'case', case: toCase(JSON.parse(line) as Partial<TestCase>)});
		state.cases += 1;
	}
	return state.cases;
}

function toCase({file = '', name = [], status, durationMs = 0, message}: Partial<TestCase>): TestCase {
	const text = message?.slice(0, MOST_TEXT);
	return {
		file: file.replace(`${place}/`, ''),
		name: name.length > 0 ? name : ['(without a name)'],
		status: status !== undefined && STATUSES.has(status) ? status : 'error',
		durationMs,
		...(text ? {message: text} : {}),
	};
}
