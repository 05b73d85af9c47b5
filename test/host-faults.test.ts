/** A host that runs out of memory, process ids or disk: the run is the victim, never the server or who asks next. */
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
import type {ChatResponse} from '#contract/api.ts';
import {atEnd, eventually, freshData, ingestedSamples, startWrit, WRIT, type Writ} from './server.ts';

const MIB = 2 ** 20;
const HIERARCHIES = '/sys/fs/cgroup';
const skip =
	process.getuid?.() === 0 && existsSync(`${HIERARCHIES}/memory/tasks`)
		? false
		: 'only root can make a small host, and only of control groups of version 1';

/** A control group around a server and all its sandboxes: what the server takes for the host. */
function smallHost(context: TestContext, hierarchy: 'memory' | 'pids', limits: Readonly<Record<string, number>>): string {
	const own = new RegExp(`:${hierarchy}:(.*)$`, 'm').exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
	const parent = path.join(HIERARCHIES, hierarchy, own);
	const group = path.join(
		existsSync(parent) ? parent : path.join(HIERARCHIES, hierarchy),
		`test-host-${process.pid}-${hierarchy}`,
	);
	mkdirSync(group);
	for (const [name, value] of Object.entries(limits)) writeFileSync(path.join(group, name), String(value));
	atEnd(context, () => eventually('an empty host', () => (remove(group) ? true : undefined)).then(() => {}));
	return group;
}

/** With the groups of sandboxes whose server was killed. */
function remove(group: string): boolean {
	try {
		for (const {name} of readdirSync(group, {withFileTypes: true}).filter((entry) => entry.isDirectory()))
			rmdirSync(path.join(group, name));
		rmdirSync(group);
		return true;
	} catch {
		return false; // what was killed is not yet gone
	}
}

/** Started inside the group, with all that it starts. */
function inside(group: string): readonly [string, ...string[]] {
	return ['/bin/sh', '-c', 'echo $$ > "$0/tasks"; exec "$@"', group, WRIT];
}

async function run(writ: Writ, code: string): Promise<ChatResponse> {
	const {body} = await writ.post<ChatResponse>('/runs', {dataset_id: 'support', query_type: 'python', python_code: code});
	return body;
}

async function assertWell(writ: Writ): Promise<void> {
	const {status, result} = await writ.ask('SQL: SELECT count(*) FROM tickets');
	assert.deepEqual([status, result.rows], ['succeeded', [[6_417]]]);
}

const MOST_PROCESSES = 400;
const env = {WRIT_POOL_SIZE: '1', WRIT_SANDBOX_MEMORY_MB: '8192', WRIT_SANDBOX_PROCESSES: '4000', RUN_TIMEOUT_SECONDS: '60'};

/** A host that is full is slow too: what is not killed comes to its time limit. */
const ENDED = /^(RUNNER_RESOURCE_EXCEEDED|RUNNER_INTERNAL_ERROR|RUNNER_TIMEOUT|PYTHON_EXECUTION_ERROR)$/;

test('a host without memory kills the run that took it', {skip}, async (t) => {
	const group = smallHost(t, 'memory', {'memory.limit_in_bytes': 1_200 * MIB});
	const writ = await startWrit(t, {env, command: inside(group)});
	const {result} = await run(writ, 'keep = []\nwhile True:\n    keep.append(b"x" * (1 << 20))');
	assert.match(result.error?.type ?? '', ENDED);
	assert.match(readFileSync(path.join(group, 'memory.failcnt'), 'utf8'), /[1-9]/, 'the host was full');
	await assertWell(writ);
});

test('a host without process ids ends the run that took them', {skip}, async (t) => {
	const group = smallHost(t, 'pids', {'pids.max': MOST_PROCESSES});
	const writ = await startWrit(t, {env, command: inside(group)});
	const ended = run(writ, 'import os\nwhile True:\n    os.fork()');
	await eventually(
		'a full host',
		() => Number(readFileSync(path.join(group, 'pids.current'), 'utf8')) > MOST_PROCESSES - 20 || undefined,
	);
	assert.match((await ended).result.error?.type ?? '', ENDED);
	await assertWell(writ);
});

test('a host without disk fails the run that filled it', {skip}, async (t) => {
	const dataDir = freshData(t, await ingestedSamples());
	const used = Number(execFileSync('du', ['-sm', dataDir], {encoding: 'utf8'}).split('\t')[0]);
	const kept = path.join(dataDir, '..', `${path.basename(dataDir)}-disk`);
	mkdirSync(kept);
	execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${used + 24}m`, 'writ', kept]);
	atEnd(t, () => {
		execFileSync('umount', ['-l', kept]);
		rmdirSync(kept);
	});
	execFileSync('cp', ['-a', `${dataDir}/.`, kept]);
	const writ = await startWrit(t, {env, dataDir: kept});
	const code = 'for n in range(1000):\n    with open(f"/out/{n}", "wb") as f:\n        f.write(b"x" * (1 << 20))';
	const {status, body} = await writ.post<ChatResponse>('/api/v1/code', {language: 'python', code});
	assert.ok(status < 500 || status === 503, `${status}: ${JSON.stringify(body)}`);
	assert.notEqual(body.status, 'succeeded');
	await assertWell(writ);
});
