import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {type TestContext, test} from 'node:test';
import type {Frame, RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import type {World} from '#kernel/tool.ts';
import {createFileStore, type FileStore, filesSchema} from './files.ts';
import {createJavaScriptTool} from './javascript.ts';
import {createTestsTool} from './tests.ts';
import type {Working} from './work.ts';

const LIMITS = {wallMs: 1_000, memoryBytes: 1, cpus: 1, processes: 1, openFiles: 1, scratchBytes: 1, outputBytes: 1_000};
const DONE = {type: 'done', totalRows: null, truncated: null, nonFinite: 0} as const;
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

type Inside = (spec: SandboxSpec, request: RunnerRequest) => readonly Frame[];

/** A room on a directory of its own, and a world whose sandbox is `inside`. */
function setUp(
	t: TestContext,
	inside: Inside = () => [DONE],
): {room: Working; world: World; store: FileStore; directory: string} {
	const directory = mkdtempSync(join(tmpdir(), 'writ-tools-'));
	t.after(() => rmSync(directory, {recursive: true, force: true}));
	mkdirSync(join(directory, 'work'));
	const store = createFileStore(join(directory, 'files'));
	const caps = {fileBytes: 1_000, totalBytes: 2_000, files: 3};
	const room = {files: store, directory: join(directory, 'work'), limits: LIMITS, maxRows: 10, maxBytes: 1_000, caps};
	const world = {
		principal: {kind: 'user', id: 'ada', tenant: 'local'},
		sandbox: async (spec: SandboxSpec, request: RunnerRequest) => ({frames: inside(spec, request), usage: {wallMs: 1}}),
	} as unknown as World;
	return {room, world, store, directory};
}

const INPUT = {code: '1', files: [], artifacts: false, network: 'none' as const};

test('files are staged under their names when they are what their hash says, and removed with the run', async (t) => {
	const seen: unknown[] = [];
	const {room, world, store, directory} = setUp(t, ({mounts}) => {
		for (const {source, target} of mounts) seen.push([target, readFileSync(join(source, 'a/b.txt'), 'utf8')]);
		return [{type: 'value', value: 7}, DONE];
	});
	const files = [{name: 'a/b.txt', sha256: await store.put('local', Buffer.from('hello'))}];
	const output = await createJavaScriptTool(room).run({...INPUT, files}, world);
	assert.deepEqual([seen, output.value], [[['/in', 'hello']], 7]);
	assert.deepEqual(readdirSync(join(directory, 'work')), []);
});

test('what code returns is not walked again: it was JSON when it was read', async (t) => {
	const value = [[{a: [1]}]];
	const {room, world} = setUp(t, () => [{type: 'value', value}, DONE]);
	const tool = createJavaScriptTool(room);
	const output = await tool.run(INPUT, world);
	assert.equal(tool.output.parse(output).value, value);
});

test('a file that changed on disk, or that nobody gave, is not staged', async (t) => {
	const {room, world, store} = setUp(t);
	const hash = await store.put('local', Buffer.from('hello'));
	writeFileSync(join(await store.place('local'), hash), 'other');
	const run = (file: string) => createJavaScriptTool(room).run({...INPUT, files: [{name: 'a', sha256: file}]}, world);
	await assert.rejects(run(hash), {code: 'unreadable_file', message: '`a` is not what it was when it was named'});
	await assert.rejects(run(sha256('never given')), {code: 'not_found'});
});

test('a file of one tenant is not found by another, even by its hash', async (t) => {
	const {room, world, store} = setUp(t);
	const files = [{name: 'a', sha256: await store.put('other', Buffer.from('theirs'))}];
	await assert.rejects(createJavaScriptTool(room).run({...INPUT, files}, world), {code: 'not_found'});
});

for (const name of ['../a', '/etc/passwd', 'a//b', 'a/./b', '..', '', 'a\\b', 'a\nb', 'x'.repeat(300)])
	test(`${JSON.stringify(name.slice(0, 20))} is no name of a file`, () => {
		assert.equal(filesSchema.safeParse([{name, sha256: sha256('')}]).success, false);
	});

test('two files of one name, or a file that is a directory too, are refused', () => {
	const files = (...names: string[]) => names.map((name) => ({name, sha256: sha256('')}));
	assert.equal(filesSchema.safeParse(files('a', 'b/c')).success, true);
	assert.equal(filesSchema.safeParse(files('a', 'a')).success, false);
	assert.equal(filesSchema.safeParse(files('a', 'a/b')).success, false);
});

test('what a program left is kept under its hash, and checked against it', async (t) => {
	const {room, world, store} = setUp(t, ({output}) => {
		writeFileSync(join(output ?? '', 'report.txt'), 'fine');
		symlinkSync('/etc/passwd', join(output ?? '', 'link'));
		return [DONE];
	});
	const tool = createJavaScriptTool(room);
	const input = {...INPUT, artifacts: true};
	const output = await tool.run(input, world);
	assert.deepEqual(output.artifacts, [{name: 'report.txt', bytes: 4, sha256: sha256('fine'), mediaType: 'text/plain'}]);
	assert.deepEqual(output.refused, [{name: 'link', reason: 'a link'}]);
	assert.equal((await tool.verify?.(input, output, world))?.kind, 'verified');
	writeFileSync(join(await store.place('local'), sha256('fine')), 'forged');
	const verdict = await tool.verify?.(input, output, world);
	assert.deepEqual(
		[verdict?.kind, verdict?.checks[1]],
		['unverified', {name: 'artifacts', passed: false, detail: '`report.txt` is not what was collected'}],
	);
});

test('an error of the code inside is the error of its tool', async (t) => {
	const {room, world} = setUp(t, () => [{type: 'error', code: 'javascript_execution_error', message: 'x', details: {line: 1}}]);
	await assert.rejects(createJavaScriptTool(room).run(INPUT, world), {code: 'javascript_execution_error', details: {line: 1}});
});

const CASE = {file: 'a', name: ['n'], durationMs: 1};

for (const [title, frames] of Object.entries({
	'no cases': [{...DONE, exitCode: 0}],
	'no exit code': [{type: 'case', case: {...CASE, status: 'passed'}}, DONE],
} as Record<string, Frame[]>))
	test(`a test run with ${title} has failed`, async (t) => {
		const {room, world} = setUp(t, () => frames);
		const input = {framework: 'node', files: [], paths: []} as const;
		await assert.rejects(createTestsTool(room).run({...input, files: [], paths: []}, world), {code: 'nothing_tested'});
	});

test('cases are counted, and an exit code that contradicts them is no verified result', async (t) => {
	const cases = (['passed', 'failed', 'skipped', 'error'] as const).map((status) => ({
		type: 'case' as const,
		case: {...CASE, name: ['n'], status},
	}));
	for (const [exitCode, kind] of [
		[1, 'verified'],
		[0, 'unverified'],
	] as const) {
		const {room, world} = setUp(t, () => [...cases, {...DONE, exitCode}]);
		const tool = createTestsTool(room);
		const input = {framework: 'node' as const, files: [], paths: []};
		const output = await tool.run(input, world);
		assert.deepEqual(output.counts, {total: 4, passed: 1, failed: 1, skipped: 1, error: 1});
		assert.equal((await tool.verify?.(input, output, world))?.kind, kind);
	}
});
