/** Shell scripts in real sandboxes, and the tools they call. */
import assert from 'node:assert/strict';
import {join} from 'node:path';
import {after, test} from 'node:test';
import type {Frame, RunnerRequest} from '#contract/sandbox.ts';
import type {AnswerCall} from '#kernel/tool.ts';
import {permit, spec} from '../fixtures/attack.ts';
import {createProcessProvider} from '../process/process.ts';
import {createRuntime} from '../runtime.ts';

const root = join(import.meta.dirname, '../../..');
const provider = createProcessProvider({runtime: createRuntime({root, nodePath: process.execPath, pythonPath: ''})});
after(() => provider.close());
const signal = new AbortController().signal;

type Done = Extract<Frame, {type: 'done'}>;

async function run(script: string, answerCall?: AnswerCall): Promise<Done> {
	const request: RunnerRequest = {kind: 'shell', script, tools: answerCall !== undefined, maxBytes: 10_000};
	const limits = {memoryBytes: 512 << 20, wallMs: 60_000};
	const sandbox = await provider.open(spec({runner: 'shell', limits}), {warm: false, signal});
	try {
		const {frames} = await sandbox.run(permit(), request, signal, answerCall);
		const [done] = frames;
		assert.ok(done?.type === 'done', JSON.stringify(frames));
		return done;
	} finally {
		await sandbox.dispose();
	}
}

const echo: AnswerCall = async ({id, tool, input}) => ({type: 'reply', id, output: {tool, input}});

test('a script has the core utilities, its output is captured, and its exit code is told', async () => {
	const {exitCode, stdout, stderr} = await run('printf "b\\na\\n" | sort | head -n 1; echo oops >&2; no_such_program; exit 7');
	assert.deepEqual([exitCode, stdout, stderr], [7, 'a\n', 'oops\nscript.sh: line 1: no_such_program: command not found\n']);
});

test('a script that is killed tells the signal as shells do', async () => {
	assert.equal((await run('kill -9 $$')).exitCode, 137);
});

test('what the script finds is read-only, and there is no program that was not named', async () => {
	const script = `touch /usr/bin/x 2>/dev/null || echo read-only
for p in python3 perl curl ssh sudo su mount gcc node; do command -v $p; done
ls /proc /root /home 2>/dev/null; cat /etc/passwd 2>/dev/null; id -u`;
	assert.equal((await run(script)).stdout, 'read-only\n65534\n');
});

test('nothing can be written where the runner says its frames', async () => {
	const {exitCode, stderr} = await run('echo forged >&3');
	assert.deepEqual([exitCode, stderr], [1, 'script.sh: line 1: 3: Bad file descriptor\n']);
});

test('a script that leaves a process behind is done all the same', async () => {
	assert.equal((await run('sleep 1000 & echo on')).stdout, 'on\n');
});

test('a script calls tools, also from many processes at once, and each gets its own answer', async () => {
	const script = `for n in 1 2 3 4 5; do (writ call a.b "{\\"n\\": $n}" | grep -o "\\"n\\":$n" > got-$n) & done; wait; cat got-*`;
	assert.equal((await run(script, echo)).stdout, '"n":1\n"n":2\n"n":3\n"n":4\n"n":5\n');
	assert.equal((await run(`writ call a.b '{"text": "x"}'`, echo)).stdout, '{"tool":"a.b","input":{"text":"x"}}\n');
});

test('a refusal is an exit code of 3 and says why on standard error', async () => {
	const refuse: AnswerCall = async ({id}) => ({type: 'refused', id, code: 'policy_denied', message: 'no', hint: 'ask'});
	const {stdout, stderr} = await run('writ call a.b; echo $?', refuse);
	assert.deepEqual([stdout, stderr], ['3\n', '{"code":"policy_denied","message":"no","hint":"ask"}\n']);
});

test('an input that is not JSON, a command that is not `call`, and tools that were not given are refused', async () => {
	assert.equal((await run('writ call a.b nonsense; echo $?', echo)).stdout, '3\n');
	assert.equal((await run('writ list; echo $?', echo)).stdout, '2\n');
	assert.match((await run('writ call a.b')).stderr ?? '', /feature_disabled/);
});
