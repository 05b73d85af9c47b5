/** Runs the files it is given, or all tests below the working directory, with `node:test`. A child of tests.ts. */
import {globSync} from 'node:fs';
import {resolve} from 'node:path';
import type {EventData} from 'node:test';
import {run} from 'node:test';
import {spec} from 'node:test/reporters';
import type {TestCase} from '#contract/sandbox.ts';
import {reportCase} from './tests-report.ts';

type Ended = EventData.TestPass | EventData.TestFail;

const PATTERNS = ['**/*.{test,spec}.{js,mjs,cjs,ts,mts,cts}', '**/{test,tests}/**/*.{js,mjs,cjs,ts,mts,cts}'];
const given = process.argv.slice(2);
const patterns =
	given.length === 0 ? PATTERNS : given.flatMap((path) => (path.endsWith('/') ? PATTERNS.map((each) => path + each) : [path]));
const files = [...new Set(globSync(patterns, {exclude: ['**/node_modules/**']}).map((file) => resolve(file)))].toSorted();

/** Titles of the suites that are being reported, from the outside in. */
const titles: string[] = [];
const stream = run({files, concurrency: 1});
stream.on('test:start', ({name, nesting}) => {
	titles.splice(nesting, titles.length, name);
});
stream.on('test:pass', (event) => report(event));
stream.on('test:fail', (event) => {
	process.exitCode = 1;
	report(event);
});
stream.compose(new spec()).pipe(process.stdout);

function report({name, nesting, file = '', details, ...ended}: Ended): void {
	const error = 'error' in details ? details.error : undefined;
	// A file stands for itself only when it could not be run; a suite, when its own hooks failed.
	const isFile = files.includes(resolve(name));
	const isGroup = isFile || details.type === 'suite';
	if (isGroup && (error === undefined || (error as {failureType?: string}).failureType === 'subtestsFailed')) return;
	const skipped = [ended.skip, ended.todo].find((each) => each !== undefined);
	const message = error === undefined ? skipped : String((error.cause as Error | undefined)?.stack ?? error.message);
	reportCase({
		file: resolve(isFile ? name : file),
		name: isFile ? ['the file'] : [...titles.slice(0, nesting), name],
		status: skipped === undefined ? statusOf(error, isGroup) : 'skipped',
		durationMs: details.duration_ms,
		...(typeof message === 'string' && message !== '' ? {message} : {}),
	});
}

function statusOf(error: Error | undefined, isGroup: boolean): TestCase['status'] {
	if (error === undefined) return 'passed';
	return isGroup ? 'error' : 'failed';
}
