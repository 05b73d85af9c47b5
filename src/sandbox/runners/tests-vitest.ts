/** Runs the files it is given, or all tests below the working directory, with vitest. A child of tests.ts. */

import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {type Reporter, startVitest, type TestCase, type TestModule, type TestSuite} from 'vitest/node';
import {reportCase} from './tests-report.ts';

const reporter: Reporter = {
	onTestCaseResult(test: TestCase) {
		const result = test.result();
		const message = result.state === 'skipped' ? result.note : (result.errors ?? []).map(textOf).join('\n\n');
		reportCase({
			file: test.module.moduleId,
			name: titles(test),
			status: result.state === 'pending' ? 'error' : result.state,
			durationMs: test.diagnostic()?.duration ?? 0,
			...(message ? {message} : {}),
		});
	},
	onTestSuiteResult: tellErrors,
	onTestModuleEnd: tellErrors,
};

/** What failed outside any test, such as a file that cannot be loaded. */
function tellErrors(group: TestSuite | TestModule): void {
	const errors = group.errors();
	if (errors.length === 0) return;
	const isFile = group.type === 'module';
	reportCase({
		file: isFile ? group.moduleId : group.module.moduleId,
		name: isFile ? ['the file'] : titles(group),
		status: 'error',
		durationMs: 0,
		message: errors.map(textOf).join('\n\n'),
	});
}

function titles(task: TestCase | TestSuite): string[] {
	return task.parent.type === 'module' ? [task.name] : [...titles(task.parent), task.name];
}

function textOf({stack, message}: {readonly stack?: string | undefined; readonly message: string}): string {
	return stack?.includes(message) ? stack : `${message}\n${stack ?? ''}`;
}

const options = {
	watch: false,
	root: process.cwd(),
	reporters: ['default', reporter],
	// Processes would be told what to do by messages that carry descriptors, which the sandbox does not let anybody send.
	pool: 'threads' as const,
	maxWorkers: 1,
	passWithNoTests: true,
};
const vitest = await startVitest('test', process.argv.slice(2), options, {cacheDir: join(tmpdir(), 'vite')});
await vitest.close();
