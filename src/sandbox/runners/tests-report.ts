import {writeSync} from 'node:fs';
import type {TestCase} from '#contract/sandbox.ts';

const CASES = 4;
const MOST_TEXT = 4_000;

/** Tells tests.ts of one case. */
export function reportCase({message, ...rest}: TestCase): void {
	const text = message === undefined ? {} : {message: withoutColours(message).slice(0, MOST_TEXT)};
	const line = Buffer.from(`${JSON.stringify({...rest, ...text})}\n`);
	for (let sent = 0; sent < line.length; ) sent += writeSync(CASES, line, sent);
}

function withoutColours(text: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what this removes
	return text.replace(/\u001b\[[0-9;]*m/g, '');
}
