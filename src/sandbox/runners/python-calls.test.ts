/** Python in real sandboxes, and the tools it calls. */
import assert from 'node:assert/strict';
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {after, test} from 'node:test';
import type {Frame, RunnerRequest} from '#contract/sandbox.ts';
import type {AnswerCall} from '#kernel/tool.ts';
import {permit, spec} from '../fixtures/attack.ts';
import {createProcessProvider} from '../process/process.ts';
import {createRuntime} from '../runtime.ts';

const root = join(import.meta.dirname, '../../..');
const pythonPath = join(root, '.writ/python/bin/python3');
const skip = existsSync(pythonPath) ? false : 'there is no .writ/python: run `sh scripts/python.sh`';
const provider = createProcessProvider({runtime: createRuntime({root, nodePath: process.execPath, pythonPath})});
after(() => provider.close());
const signal = new AbortController().signal;

async function run(code: string, answerCall?: AnswerCall): Promise<readonly Frame[]> {
	const request: RunnerRequest = {
		kind: 'python',
		views: [],
		code,
		tools: answerCall !== undefined,
		maxRows: 10,
		maxBytes: 10_000,
	};
	const limits = {memoryBytes: 1 << 30, wallMs: 60_000};
	const sandbox = await provider.open(spec({limits}), {warm: false, signal});
	try {
		return (await sandbox.run(permit(), request, signal, answerCall)).frames;
	} finally {
		await sandbox.dispose();
	}
}

function rowsOf(frames: readonly Frame[]): unknown {
	assert.equal(frames.at(-1)?.type, 'done', JSON.stringify(frames));
	return frames.flatMap((frame) => (frame.type === 'rows' ? frame.rows : []));
}

test('code calls tools and gets what they return', {skip}, async () => {
	const calls: unknown[] = [];
	const answerCall: AnswerCall = async ({id, tool, input}) => {
		calls.push([id, tool, input]);
		return {type: 'reply', id, output: {n: id}};
	};
	const code = 'import writ as w\n[writ.call("a.b", {"x": np.int64(3), "at": pd.Timestamp(0)})["n"], w.call("c.d")["n"]]';
	assert.deepEqual(rowsOf(await run(code, answerCall)), [[1], [2]]);
	assert.deepEqual(calls, [
		[1, 'a.b', {x: 3, at: '1970-01-01T00:00:00'}],
		[2, 'c.d', {}],
	]);
});

test('threads of the code call one after the other', {skip}, async () => {
	const answerCall: AnswerCall = async ({id, input}) => ({type: 'reply', id, output: input});
	const code = `from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool: result = sum(pool.map(lambda n: writ.call("a.b", {"n": n})["n"], range(50)))`;
	assert.deepEqual(rowsOf(await run(code, answerCall)), [[1225]]);
});

test('a refusal is an exception with a code and a hint that the code can handle', {skip}, async () => {
	const answerCall: AnswerCall = async ({id}) => ({type: 'refused', id, code: 'policy_denied', message: 'no', hint: 'ask'});
	const handled = 'try: writ.call("a.b")\nexcept writ.Refusal as r: result = [r.code, str(r), r.hint]';
	assert.deepEqual(rowsOf(await run(handled, answerCall)), [['policy_denied'], ['no'], ['ask']]);
	const [error] = await run('writ.call("a.b")', answerCall);
	assert.deepEqual(error, {
		type: 'error',
		code: 'python_execution_error',
		message: 'Refusal: no (line 1)',
		details: {line: 1},
	});
});

test('without tools there is no `writ`', {skip}, async () => {
	const [error] = await run('writ.call("a.b")');
	assert.equal(error?.type === 'error' && error.message, "NameError: name 'writ' is not defined (line 1)");
});
