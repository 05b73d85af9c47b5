import type {TestCase, TestError, TestResult} from '@playwright/test/reporter';
import {reportCase} from './tests-report.ts';

/** Playwright tells it of each test as it ends. A test that is tried again is one case, told by its last try. */
export class CaseReporter {
	onTestEnd(test: TestCase, {status, duration, errors, retry}: TestResult): void {
		const expected = status === test.expectedStatus;
		if (!expected && status !== 'skipped' && retry < test.retries) return;
		const message = errors.map(({message: text, stack}) => stack ?? text ?? '').join('\n\n');
		reportCase({
			file: test.location.file,
			name: test.titlePath().slice(3),
			status: status === 'skipped' ? 'skipped' : expected ? 'passed' : 'failed',
			durationMs: duration,
			...(message && !expected ? {message} : {}),
		});
	}

	/** What failed outside any test, such as a file that cannot be loaded. */
	onError({message = '', stack, location}: TestError): void {
		reportCase({file: location?.file ?? '', name: ['the file'], status: 'error', durationMs: 0, message: stack ?? message});
	}

	printsToStdio(): boolean {
		return false;
	}
}
