/** A reporter for `node --test` that repeats at the end what a file said that failed as a whole: `test failed` alone tells nobody why. */
import path from 'node:path';
import type {TestEvent} from 'node:test/reporters';

const root = path.resolve(import.meta.dirname, '..');
const LAST = 4_000;

// biome-ignore lint/style/noDefaultExport: this is how the test runner is given a reporter
export default async function* report(events: AsyncIterable<TestEvent>): AsyncIterable<string> {
	const said = new Map<string, string>();
	const failed: string[] = [];
	for await (const {type, data} of events) {
		if (type === 'test:stderr') said.set(nameOf(data.file), ((said.get(nameOf(data.file)) ?? '') + data.message).slice(-LAST));
		if (type === 'test:fail' && data.file !== undefined && nameOf(data.name) === nameOf(data.file))
			failed.push(nameOf(data.file));
	}
	for (const file of failed) yield `\n${file} failed as a whole, and said:\n${said.get(file) ?? '(nothing)'}\n`;
}

function nameOf(file: string): string {
	return path.relative(root, path.resolve(root, file));
}
