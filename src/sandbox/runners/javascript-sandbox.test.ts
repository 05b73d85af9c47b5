/** JavaScript in real sandboxes of the `process` provider, and the tools it calls. */
import assert from 'node:assert/strict';
import {join} from 'node:path';
import {after, test} from 'node:test';
import type {CallReply, RunnerRequest} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import type {AnswerCall, SandboxResult} from '#kernel/tool.ts';
import {limits, spec} from '../fixtures/attack.ts';
import {createProcessProvider} from '../process/process.ts';
import {toError} from '../runner-error.ts';
import {createRuntime} from '../runtime.ts';

const root = join(import.meta.dirname, '../../..');
const provider = createProcessProvider({runtime: createRuntime({root, nodePath: process.execPath, pythonPath: ''})});
after(() => provider.close());
const signal = new AbortController().signal;

type Options = {readonly answerCall?: AnswerCall; readonly wallMs?: number; readonly outputBytes?: number};

async function run(code: string, {answerCall, ...given}: Options = {}): Promise<SandboxResult> {
	const request: RunnerRequest = {kind: 'javascript', code, tools: answerCall !== undefined, maxBytes: 100_000};
	const own = {memoryBytes: 512 << 20, ...given};
	const sandbox = await provider.open(spec({runner: 'javascript', limits: own}), {warm: false, signal});
	try {
		return await sandbox.run(mintPermit(PERMIT), request, signal, answerCall);
	} finally {
		await sandbox.dispose();
	}
}

const PERMIT = {id: 'p', runId: 'r', actionId: 'a', tool: 't', tenant: 'local', binding: 'b'};

async function resultOf(code: string, options?: Options): Promise<unknown> {
	const {frames} = await run(code, options);
	assert.equal(frames.at(-1)?.type, 'done', JSON.stringify(frames));
	return frames.find((frame) => frame.type === 'value')?.value;
}

/** Answers every call with its input, and keeps them. */
function echo(): {answerCall: AnswerCall; calls: unknown[]} {
	const calls: unknown[] = [];
	const answerCall: AnswerCall = async ({id, tool, input}): Promise<CallReply> => {
		calls.push([tool, input]);
		return {type: 'reply', id, output: input};
	};
	return {answerCall, calls};
}

/** Sends frames past the runner in one write, as code that took it over would. */
const FORGE = `import {writeSync} from 'node:fs';
const encode = (frame) => { const b = Buffer.from(JSON.stringify(frame)); const h = Buffer.alloc(4); h.writeUInt32BE(b.length); return [h, b]; };
const send = (...frames) => { const all = Buffer.concat(frames.flatMap(encode)); for (let n = 0; n < all.length;) n += writeSync(3, all, n); };
`;

test('a module runs, prints, and sees nothing but its sandbox', async () => {
	const {frames, isolation} = await run(`import {existsSync, readdirSync} from 'node:fs';
console.log('hello');
export default {root: readdirSync('/').sort(), env: Object.keys(process.env).sort(), shadow: existsSync('/etc/shadow')};`);
	const [value, done] = frames;
	assert.ok(value?.type === 'value' && done?.type === 'done');
	const {root: seen, env, shadow} = value.value as {root: string[]; env: string[]; shadow: boolean};
	assert.deepEqual(
		seen.filter((name) => !['dev', 'etc', 'lib', 'lib64', 'runtime', 'tmp', 'usr'].includes(name)),
		[],
	);
	assert.deepEqual(
		env.filter((name) => name !== 'NODE_COMPILE_CACHE'),
		['HOME', 'LANG', 'PATH', 'PWD', 'TMPDIR', 'TZ', 'UV_THREADPOOL_SIZE'],
	);
	assert.deepEqual([shadow, done.stdout, isolation.seccomp], [false, 'hello\n', true]);
});

test('a module has no network', async () => {
	const code =
		"import net from 'node:net'; export default await new Promise((r) => net.connect(53, '1.1.1.1').on('error', (e) => r(e.code)))";
	assert.equal(await resultOf(code), 'EPERM');
});

test('a mistake in its syntax comes with its line and what was printed before it does not get lost', async () => {
	const {frames} = await run('const a = 1;\nconst = 2;');
	assert.deepEqual(frames, [
		{
			type: 'error',
			code: 'javascript_execution_error',
			message: "SyntaxError: Unexpected token '=' (line 2)",
			details: {line: 2},
		},
	]);
	const {frames: printed} = await run('console.log("before"); throw new Error("x")');
	assert.deepEqual(printed.at(-1)?.type === 'error' && printed.at(-1), {
		type: 'error',
		code: 'javascript_execution_error',
		message: 'Error: x (line 1)',
		details: {stdout: 'before\n', line: 1},
	});
});

test('code calls tools, one after the other and side by side, and gets each answer where it asked', async () => {
	const {answerCall, calls} = echo();
	const code = `const one = await writ.call('a.b', {n: 1});
const rest = await Promise.all([2, 3, 4].map((n) => writ.call('a.b', {n, at: new Date(0)})));
export default [one, ...rest].map(({n}) => n)`;
	assert.deepEqual(await resultOf(code, {answerCall}), [1, 2, 3, 4]);
	assert.deepEqual(calls[1], ['a.b', {n: 2, at: '1970-01-01T00:00:00.000Z'}]);
});

test('a refusal is an error with a code and a hint that the code can handle', async () => {
	const answerCall: AnswerCall = async ({id}) => ({type: 'refused', id, code: 'policy_denied', message: 'no', hint: 'ask'});
	const code = `export default await writ.call('a.b').catch(({name, code, message, hint}) => ({name, code, message, hint}))`;
	assert.deepEqual(await resultOf(code, {answerCall}), {name: 'Refusal', code: 'policy_denied', message: 'no', hint: 'ask'});
});

test('a large answer arrives whole', async () => {
	const answerCall: AnswerCall = async ({id}) => ({type: 'reply', id, output: 'x'.repeat(3 << 20)});
	assert.equal(await resultOf(`export default (await writ.call('a.b')).length`, {answerCall}), 3 << 20);
});

test('a module that ends while its calls are answered is done', async () => {
	const answerCall: AnswerCall = () => new Promise(() => {});
	assert.equal(await resultOf(`void writ.call('a.b'); export default 1`, {answerCall}), 1);
});

test('ten thousand calls at once are answered one at a time', async () => {
	const seen = {now: 0, most: 0, all: 0};
	const answerCall: AnswerCall = async ({id}) => {
		seen.now += 1;
		seen.most = Math.max(seen.most, seen.now);
		await Promise.resolve();
		seen.now -= 1;
		seen.all += 1;
		return {type: 'reply', id, output: id};
	};
	const code = `export default (await Promise.all(Array.from({length: 10_000}, () => writ.call('a.b')))).length`;
	assert.equal(await resultOf(code, {answerCall, wallMs: 60_000}), 10_000);
	assert.deepEqual(seen, {now: 0, most: 1, all: 10_000});
});

test('answers that nobody reads are not made: the next call waits until the last answer was taken', async () => {
	const seen = {calls: 0};
	const answerCall: AnswerCall = async ({id}) => {
		seen.calls += 1;
		return {type: 'reply', id, output: 'x'.repeat(4 << 20)};
	};
	const flood = `${FORGE}for (let id = 1; id <= 500; id++) send({type: 'call', id, tool: 'a.b', input: null});
for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);`;
	await assert.rejects(run(flood, {answerCall, wallMs: 1_500}), {code: 'runner_timeout'});
	assert.equal(seen.calls, 1);
});

test('an input of 30 MB ends at the output limit', async () => {
	const {answerCall, calls} = echo();
	const code = `${FORGE}send({type: 'call', id: 1, tool: 'a.b', input: 'x'.repeat(30 << 20)}); await new Promise((r) => setTimeout(r, 5000))`;
	await assert.rejects(run(code, {answerCall}), {
		code: 'runner_resource_exceeded',
		details: {limit: 'outputBytes', value: limits.outputBytes},
	});
	assert.deepEqual(calls, []);
});

for (const [title, code] of Object.entries({
	'a call after the end': `${FORGE}send({type: 'done', totalRows: null, truncated: null, nonFinite: 0}, {type: 'call', id: 1, tool: 'a.b', input: null});`,
	'a call without a tool': `${FORGE}send({type: 'call', id: 1, input: null});`,
	'a call whose id is no number': `${FORGE}send({type: 'call', id: 'x', tool: 'a.b', input: null});`,
})) {
	test(`${title} breaks the protocol`, async () => {
		await assert.rejects(run(code, {answerCall: echo().answerCall}), {code: 'runner_internal_error'});
	});
}

test('a call where no tools were given breaks the protocol, and the runner itself refuses to make one', async () => {
	const code = `${FORGE}send({type: 'call', id: 1, tool: 'a.b', input: null}); await new Promise((r) => setTimeout(r, 5000))`;
	await assert.rejects(run(code), {code: 'runner_internal_error'});
	assert.equal(await resultOf(`export default await writ.call('a.b').catch((e) => e.code)`), 'feature_disabled');
});

test('what cannot be recorded ends the run', async () => {
	const answerCall: AnswerCall = () => Promise.reject(Object.assign(new Error('gone'), {code: 'store_unavailable'}));
	await assert.rejects(run(`await writ.call('a.b')`, {answerCall}), {code: 'store_unavailable'});
});

test('what a runner says it captured is as harmless and as short as what is captured of it', async () => {
	const printed = `'\\u001b[2Jhello' + 'x'.repeat(100_000)`;
	const code = `${FORGE}send({type: 'done', totalRows: null, truncated: null, nonFinite: 0, stdout: ${printed}, stderr: 'a\\u202eb'}); await new Promise((r) => setTimeout(r, 5000))`;
	const {frames} = await run(code);
	const done = frames.at(-1);
	assert.ok(done?.type === 'done');
	assert.match(done.stdout ?? '', /^hellox{65000,}\n… \d+ more bytes were left out\n$/);
	assert.equal(done.stderr, 'ab');
});

test('a runner cannot speak for a gate', () => {
	const {code, message} = toError({type: 'error', code: 'policy_denied', message: 'no', details: {}});
	assert.deepEqual([code, message], ['runner_internal_error', 'no']);
});
