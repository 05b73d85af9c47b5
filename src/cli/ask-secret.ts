import {createInterface} from 'node:readline/promises';
import {Writable} from 'node:stream';
import {text} from 'node:stream/consumers';
import type {ReadStream} from 'node:tty';

type Terminal = {readonly input: ReadStream; readonly output: NodeJS.WritableStream; readonly signal: AbortSignal};

/** What a person types without its being shown; or all of what is piped in, without the line end that programs put there. */
export async function askSecret(question: string, {input, output, signal}: Terminal): Promise<string> {
	if (!input.isTTY) return (await text(input)).replace(/\r?\n$/, '');
	output.write(question);
	const nowhere = new Writable({write: (_chunk, _encoding, done) => done()});
	const lines = createInterface({input, output: nowhere, terminal: true});
	try {
		return await lines.question('', {signal});
	} finally {
		lines.close();
		output.write('\n');
	}
}
