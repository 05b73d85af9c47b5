/**
 * Runs one shell script and exits. Started as `node shell.ts '{"limits": …}'`. Its output goes to the descriptors the host captures;
 * `writ call` (writ.sh) reaches this process by two pipes.
 */
import {spawn} from 'node:child_process';
import {existsSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Readable, Writable} from 'node:stream';
import type {Json} from '#contract/json.ts';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {type Call, createCall, Refusal} from './calls.ts';
import {exitCodeOf} from './exit-code.ts';
import {parseArguments, RunnerError, sendFrame, serve} from './frames.ts';

const {roots} = parseArguments(process.argv[2]);
await serve(answer);

async function answer(request: RunnerRequest): Promise<void> {
	if (request.kind !== 'shell')
		throw new RunnerError('runner_internal_error', `the shell runner was asked for \`${request.kind}\``);
	const name = 'script.sh';
	writeFileSync(join(roots.scratch, name), request.script);
	const shell = existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh';
	// Descriptor 3 is the runner's own; a script has no business there.
	const child = spawn(shell, [name], {cwd: roots.scratch, stdio: ['ignore', 'inherit', 'inherit', 'ignore', 'pipe', 'pipe']});
	const [requests, replies] = child.stdio.slice(4) as unknown as [Readable, Writable];
	replies.on('error', () => {}); // the script ended without its answer
	const call = createCall(request.tools);
	void answerCalls(requests, replies, call);
	const exitCode = await exitCodeOf(child);
	sendFrame({type: 'done', exitCode, totalRows: null, truncated: null, nonFinite: 0});
}

/** A request is the tool's name and its input, each ended by a NUL; a reply is two lines. */
async function answerCalls(requests: Readable, replies: Writable, call: Call): Promise<void> {
	const pending: {fields: string[]; rest: Buffer} = {fields: [], rest: Buffer.alloc(0)};
	for await (const chunk of requests) {
		pending.rest = Buffer.concat([pending.rest, chunk as Buffer]);
		for (let end = pending.rest.indexOf(0); end >= 0; end = pending.rest.indexOf(0)) {
			pending.fields.push(pending.rest.subarray(0, end).toString('utf8'));
			pending.rest = pending.rest.subarray(end + 1);
		}
		while (pending.fields.length >= 2) {
			const [tool = '', input = ''] = pending.fields.splice(0, 2);
			replies.write(await reply(tool, input, call));
		}
	}
}

async function reply(tool: string, input: string, call: Call): Promise<string> {
	try {
		return `reply\n${JSON.stringify(await call(tool, JSON.parse(input) as Json))}\n`;
	} catch (error) {
		const {code, message, hint} =
			error instanceof Refusal ? error : {code: 'invalid_request', message: 'the input is not JSON', hint: undefined};
		return `refused\n${JSON.stringify({code, message, hint})}\n`;
	}
}
