import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {describe, test} from 'node:test';
import {Worker} from 'node:worker_threads';
import {limits, MIB} from '../fixtures/attack.ts';
import {createGroup, findCgroups} from './cgroup.ts';

function tree(files: Record<string, string>): string {
	const root = mkdtempSync(join(tmpdir(), 'writ-cgroup-'));
	for (const [path, content] of Object.entries(files)) {
		mkdirSync(join(root, path, '..'), {recursive: true});
		writeFileSync(join(root, path), content);
	}
	return root;
}

describe('control groups are found', () => {
	test('nowhere, with the reason, when there are none', () => {
		const root = tree({self: ''});
		assert.deepEqual(findCgroups(root, join(root, 'self')), {none: `${root} has no control group that this user may divide`});
	});

	test('per controller in version 1, below our own group', () => {
		const root = tree({self: '4:memory:/ours\n3:cpu,cpuacct:/\n', 'memory/ours/tasks': '', 'cpu/tasks': '', 'cpuacct/tasks': ''});
		const parents = {memory: join(root, 'memory/ours'), cpu: join(root, 'cpu/'), usage: join(root, 'cpuacct/')};
		assert.deepEqual(findCgroups(root, join(root, 'self')), {version: 1, parents});
	});

	test('in a delegated version 2 group, after we moved into a leaf of it', () => {
		const root = tree({
			self: '0::/user.slice/writ\n',
			'cgroup.controllers': '',
			'user.slice/writ/cgroup.controllers': 'cpu io memory pids\n',
		});
		const own = join(root, 'user.slice/writ');
		const parents = {memory: own, cpu: own, pids: own, usage: own};
		assert.deepEqual(findCgroups(root, join(root, 'self')), {version: 2, parents});
		assert.equal(readFileSync(join(own, 'writ-host/cgroup.procs'), 'utf8'), String(process.pid));
		assert.equal(readFileSync(join(own, 'cgroup.subtree_control'), 'utf8'), '+memory +cpu +pids');
	});

	test('in the group above when a server before us moved into the leaf', () => {
		const root = tree({
			self: '0::/writ/writ-host\n',
			'cgroup.controllers': '',
			'writ/cgroup.controllers': 'memory\n',
			'writ/writ-host/x': '',
		});
		assert.deepEqual(findCgroups(root, join(root, 'self')), {version: 2, parents: {memory: join(root, 'writ')}});
	});

	test('not in a version 2 group without controllers', () => {
		const root = tree({self: '0::/writ\n', 'cgroup.controllers': '', 'writ/cgroup.controllers': 'hugetlb\n'});
		assert.deepEqual(findCgroups(root, join(root, 'self')), {
			none: `control group ${join(root, 'writ')} offers no memory, cpu or pids controller`,
		});
	});
});

describe('a group', () => {
	test('of version 2 is limited before anything joins it, and counts from one directory', () => {
		const root = tree({});
		const group = createGroup({version: 2, parents: {memory: root, cpu: root, pids: root, usage: root}}, 7, limits);
		const [name = ''] = readdirSync(root);
		const read = (file: string) => readFileSync(join(root, name, file), 'utf8');
		assert.match(name, /^writ-\d+-\d+-7$/);
		assert.deepEqual(group.joinFiles, [join(root, name, 'cgroup.procs')]);
		assert.deepEqual([read('memory.max'), read('cpu.max'), read('pids.max')], [String(136 * MIB), '100000 100000', '34']);
		writeFileSync(join(root, name, 'memory.peak'), '4096\n');
		writeFileSync(join(root, name, 'cpu.stat'), 'usage_usec 1500\nuser_usec 1000\n');
		writeFileSync(join(root, name, 'memory.events'), 'low 0\noom 1\noom_kill 1\n');
		writeFileSync(join(root, name, 'pids.events'), 'max 0\n');
		assert.deepEqual(group.usage(), {cpuMs: 1.5, peakMemoryBytes: 4096});
		assert.deepEqual(group.exceeded(), ['memoryBytes']);
	});

	test('that exists already is left to its owner', () => {
		const root = tree({});
		const host = {version: 2, parents: {memory: root}} as const;
		createGroup(host, 1, limits);
		assert.throws(() => createGroup(host, 1, limits), {code: 'EEXIST'});
		assert.equal(readdirSync(root).length, 1);
	});
});

describe('what dead owners left', () => {
	const host = findCgroups();
	const skip = 'none' in host && host.none;

	test('is removed though several servers start at once', {skip}, async (t) => {
		const parents = 'none' in host ? [] : [...new Set(Object.values(host.parents))];
		const sweepers = [1, 2, 3, 4].map(() => new Worker(new URL('../fixtures/sweeper.ts', import.meta.url)));
		t.after(() => Promise.all(sweepers.map((sweeper) => sweeper.terminate())));
		const sweep = () =>
			sweepers.map(async (sweeper) => {
				sweeper.postMessage('sweep');
				return (await once(sweeper, 'message'))[0] as string | null;
			});
		for (let round = 0; round < 200; round += 1) {
			const orphans = parents.map((parent) => join(parent, `writ-${BEYOND_ALL_IDS}-1-${round}`));
			const left = spawn('sleep', ['600']);
			for (const orphan of orphans) {
				mkdirSync(orphan);
				writeFileSync(join(orphan, 'cgroup.procs'), String(left.pid));
			}
			assert.deepEqual(await Promise.all(sweep()), [null, null, null, null]);
			assert.deepEqual(
				orphans.filter((orphan) => existsSync(orphan)),
				[],
			);
			if (left.exitCode === null && left.signalCode === null) await once(left, 'exit');
			assert.equal(left.signalCode, 'SIGKILL', 'what still ran in it');
		}
	});
});

const BEYOND_ALL_IDS = 2 ** 22 + 1;
