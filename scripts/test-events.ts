/** A reporter for `node --test` that writes one JSON object for each test that ended; scripts/status.ts reads them. */
import path from 'node:path';
import type {TestEvent} from 'node:test/reporters';

export type TestEnd = {readonly file: string; readonly title: string; readonly result: 'passed' | 'failed' | 'skipped'};

const root = path.resolve(import.meta.dirname, '..');

// biome-ignore lint/style/noDefaultExport: this is how the test runner is given a reporter
export default async function* report(events: AsyncIterable<TestEvent>): AsyncIterable<string> {
	for await (const {type, data} of events) {
		if (type !== 'test:pass' && type !== 'test:fail') continue;
		if (data.details.type === 'suite' || data.file === undefined) continue;
		const result = data.skip !== undefined ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
		yield `${JSON.stringify({file: path.relative(root, data.file), title: data.name, result} satisfies TestEnd)}\n`;
	}
}
