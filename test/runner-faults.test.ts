/** Programs that abort, flood, fork and fill what they can, on a real server: a typed end for each, and nobody else notices. */
import assert from 'node:assert/strict';
import {existsSync, globSync, readdirSync, readFileSync} from 'node:fs';
import {after, test} from 'node:test';
import type {ChatResponse} from '#contract/api.ts';
import {descendants} from '#sandbox/fixtures/descendants.ts';
import {eventually, startWrit} from './server.ts';

const writ = await startWrit(
	{after},
	{
		env: {
			WRIT_POOL_SIZE: '1',
			RUN_TIMEOUT_SECONDS: '6',
			WRIT_SANDBOX_MEMORY_MB: '512',
			WRIT_SANDBOX_SCRATCH_MB: '128',
			WRIT_SANDBOX_PROCESSES: '32',
		},
	},
);

/** Each says what became of it. A program may also survive its own attack: then nothing is wrong with its result. */
const FAULTS: readonly {readonly title: string; readonly code: string; readonly ends: readonly string[]}[] = [
	{title: 'aborts', code: 'import os\nos.abort()', ends: ['RUNNER_INTERNAL_ERROR']},
	{title: 'leaves without a word', code: 'import os\nos._exit(0)', ends: ['RUNNER_INTERNAL_ERROR']},
	{
		title: 'kills itself',
		code: 'import os, signal\nos.kill(os.getpid(), signal.SIGKILL)',
		ends: ['RUNNER_INTERNAL_ERROR', 'RUNNER_RESOURCE_EXCEEDED'],
	},
	{title: 'reads nothing and calls into the void', code: 'import ctypes\nctypes.string_at(0)', ends: ['RUNNER_INTERNAL_ERROR']},
	{
		title: 'floods standard output',
		code: 'while True:\n    print("x" * 100000)',
		ends: ['RUNNER_TIMEOUT', 'RUNNER_RESOURCE_EXCEEDED'],
	},
	{
		title: 'floods every descriptor it has',
		code: 'import os\nwhile True:\n    for fd in range(3, 256):\n        try:\n            os.write(fd, b"x" * 65536)\n        except OSError:\n            pass',
		ends: ['RUNNER_INTERNAL_ERROR', 'RUNNER_RESOURCE_EXCEEDED', 'RUNNER_TIMEOUT'],
	},
	{title: 'returns more than the limit', code: 'result = ["x" * 1000] * 100000', ends: ['succeeded', 'RUNNER_RESOURCE_EXCEEDED']},
	{
		title: 'forks without end',
		code: 'import os\nwhile True:\n    os.fork()',
		ends: ['RUNNER_RESOURCE_EXCEEDED', 'RUNNER_TIMEOUT', 'PYTHON_EXECUTION_ERROR', 'RUNNER_INTERNAL_ERROR'],
	},
	{
		title: 'leaves children behind',
		code: 'import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\nresult = 1',
		ends: ['succeeded', 'PYTHON_EXECUTION_ERROR'],
	},
	{
		title: 'fills its disk',
		code: 'n = 0\nwhile True:\n    n += 1\n    open(f"/tmp/{n}", "wb").write(bytes(1 << 20))',
		ends: ['RUNNER_RESOURCE_EXCEEDED', 'PYTHON_EXECUTION_ERROR'],
	},
	{
		title: 'takes all memory at once',
		code: 'b = bytearray(4 << 30)\nfor i in range(0, len(b), 4096):\n    b[i] = 1',
		ends: ['RUNNER_RESOURCE_EXCEEDED', 'PYTHON_EXECUTION_ERROR'],
	},
	{
		title: 'takes all memory bit by bit',
		code: 'keep = []\nwhile True:\n    keep.append(b"x" * (1 << 20))',
		ends: ['RUNNER_RESOURCE_EXCEEDED', 'PYTHON_EXECUTION_ERROR'],
	},
	{
		title: 'opens files without end',
		code: 'import os\nkeep = []\nwhile True:\n    keep.append(os.open("/dev/null", 0))',
		ends: ['PYTHON_EXECUTION_ERROR', 'RUNNER_RESOURCE_EXCEEDED'],
	},
	{
		title: 'starts threads without end',
		code: 'import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(60,)).start()',
		ends: ['RUNNER_RESOURCE_EXCEEDED', 'RUNNER_TIMEOUT', 'PYTHON_EXECUTION_ERROR', 'RUNNER_INTERNAL_ERROR'],
	},
	{
		title: 'ignores every signal',
		code: 'import signal\nfor n in range(1, 65):\n    try:\n        signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\nwhile True:\n    pass',
		ends: ['RUNNER_TIMEOUT'],
	},
];

for (const {title, code, ends} of FAULTS) {
	test(`a program that ${title} ends with a reason, and the next question is answered`, async () => {
		const [{body}, neighbour] = await Promise.all([
			writ.post<ChatResponse>('/runs', {dataset_id: 'support', query_type: 'python', python_code: code}),
			writ.ask('SQL: SELECT count(*) FROM tickets'),
		]);
		const end = body.result.error?.type ?? body.status;
		assert.ok(ends.includes(end), `${end}: ${JSON.stringify(body.result.error)}`);
		if (body.result.error) assert.ok(body.result.error.message.length > 0);
		assert.deepEqual(neighbour.result.rows, [[6_417]], 'who asked at the same time');
		const next = await writ.ask('SQL: SELECT count(*) FROM tickets');
		assert.deepEqual([next.status, next.result.rows], ['succeeded', [[6_417]]]);
		assert.equal((await writ.verify(body.run_id)).verdict, 'valid');
	});
}

for (const [name, program] of Object.entries({zygote: '/runtime/zygote.py', keeper: 'zygote-keeper.py'})) {
	test(`a Python program whose ${name} is killed ends with a reason, and the next one is answered`, async () => {
		const running = writ.post<ChatResponse>('/runs', {
			dataset_id: 'support',
			query_type: 'python',
			python_code: 'import time\ntime.sleep(30)',
		});
		const victim = await eventually('a busy sandbox', async () => {
			const {body} = await writ.get<string>('/metrics');
			const isBusy = /^writ_sandboxes\{[^}]*state="busy"\} [1-9]/m.test(body);
			return isBusy ? descendants(writ.pid).find(({command}) => command.includes(program))?.pid : undefined;
		});
		process.kill(victim, 'SIGKILL');
		const {body} = await running;
		assert.match(body.result.error?.type ?? body.status, /^(RUNNER_INTERNAL_ERROR|SANDBOX_UNAVAILABLE)$/);
		const next = await writ.post<ChatResponse>('/runs', {dataset_id: 'support', query_type: 'python', python_code: 'result = 1'});
		assert.deepEqual([next.body.status, next.body.result.rows], ['succeeded', [[1]]]);
	});
}

test('queries that want too much of the engine end with a reason', async () => {
	for (const sql of [
		"SELECT sum(length(repeat('x', 200000000 + CAST(range AS INTEGER)))) FROM range(100000)",
		'SELECT list(a.range) FROM range(100000) a, range(100000) b',
		'WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t',
	]) {
		const {result, status} = await writ.ask(`SQL: ${sql}`);
		assert.match(result.error?.type ?? status, /^RUNNER_(TIMEOUT|RESOURCE_EXCEEDED)$/, sql);
		assert.ok(result.error?.hint, 'it says what to do');
	}
});

test('nothing is left of any of them: no process, no control group, no directory, and the server is well', async () => {
	await eventually('rest', async () => {
		const {body} = await writ.get<string>('/metrics');
		return /^writ_sandboxes\{[^}]*state="busy"\} 0$/m.test(body) && /^writ_runs_in_flight 0$/m.test(body) ? true : undefined;
	});
	const idle = Number(/^writ_sandboxes\{[^}]*state="idle"\} (\d+)$/m.exec((await writ.get<string>('/metrics')).body)?.[1]);
	const sandboxes = await eventually('only the pool', async () => {
		const found = childrenOf(writ.pid).filter((pid) => commandOf(pid).includes('bwrap'));
		return found.length <= idle + 2 ? found : undefined;
	});
	assert.ok(sandboxes.length <= idle + 2, `${sandboxes.length} sandboxes, ${idle} of them waiting`);
	assert.equal((await writ.request('/readyz')).status, 200);
	const limits = (await isolationFacts())?.limits ?? {};
	assert.equal(groupsOf(writ.pid).length > 0, Object.values(limits).includes('cgroup'), 'there is something to look for');

	await writ.stop();
	assert.deepEqual(
		sandboxes.filter((pid) => existsSync(`/proc/${pid}`)),
		[],
		'processes that outlived the server',
	);
	assert.deepEqual(groupsOf(writ.pid), [], 'control groups that outlived the server');
	assert.doesNotMatch(writ.log(), /"msg":"bug"/);
});

async function isolationFacts() {
	const {body} = await writ.get<{checks: {name: string; facts?: {limits?: Record<string, string>}}[]}>('/api/v1/doctor');
	return body.checks.find(({name}) => name === 'isolation')?.facts;
}

function childrenOf(pid: number): readonly number[] {
	return readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.map(Number)
		.filter((each) => parentOf(each) === pid);
}

function parentOf(pid: number): number | null {
	try {
		return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
	} catch {
		return null; // it has ended meanwhile
	}
}

function commandOf(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
	} catch {
		return '';
	}
}

/** Control groups carry the id of the process that made them. */
function groupsOf(pid: number): readonly string[] {
	return globSync(`/sys/fs/cgroup/**/writ-${pid}-*`);
}
