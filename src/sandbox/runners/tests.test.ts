/** Test suites in real sandboxes. */
import assert from 'node:assert/strict';
import {chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {after, test} from 'node:test';
import type {Frame, TestFramework} from '#contract/sandbox.ts';
import {permit, spec} from '../fixtures/attack.ts';
import {createProcessProvider} from '../process/process.ts';
import {createRuntime} from '../runtime.ts';

const root = join(import.meta.dirname, '../../..');
const pythonPath = join(root, '.writ/python/bin/python3');
const provider = createProcessProvider({runtime: createRuntime({root, nodePath: process.execPath, pythonPath})});
after(() => provider.close());
const signal = new AbortController().signal;
const limits = {wallMs: 300_000, memoryBytes: 2 ** 31, cpus: 2, processes: 512, openFiles: 1_024, scratchBytes: 2 ** 28};

const missing = {
	node: false,
	pytest: existsSync(pythonPath) ? false : 'there is no .writ/python: run `sh scripts/python.sh`',
	vitest: existsSync(join(root, 'node_modules/vitest')) ? false : 'vitest is not installed: run `npm install`',
	playwright: existsSync('/usr/lib/chromium/chromium')
		? false
		: 'Chromium is not installed: run `sudo apt-get install -y chromium`',
} as const;

async function run(
	framework: TestFramework,
	files: Readonly<Record<string, string>>,
	paths: string[] = [],
): Promise<readonly Frame[]> {
	const input = mkdtempSync(join(tmpdir(), 'writ-tests-'));
	chmodSync(input, 0o755);
	for (const [name, text] of Object.entries(files)) {
		mkdirSync(dirname(join(input, name)), {recursive: true, mode: 0o755});
		writeFileSync(join(input, name), text);
	}
	const of = {...spec({runner: 'tests', mounts: [{source: input, target: '/in'}], limits}), framework};
	const sandbox = await provider.open(of, {warm: false, signal});
	try {
		return (await sandbox.run(permit(), {kind: 'tests', framework, paths, maxBytes: 100_000}, signal)).frames;
	} finally {
		await sandbox.dispose();
		rmSync(input, {recursive: true});
	}
}

/** File, titles and status of each case, in the order of their names, and the exit code. */
function told(frames: readonly Frame[]): {cases: unknown[]; exitCode: number | undefined} {
	const last = frames.at(-1);
	assert.ok(last?.type === 'done', JSON.stringify(frames));
	const cases = frames.flatMap((frame) => (frame.type === 'case' ? [frame.case] : []));
	const lines = cases.map(({file, name, status}) => [file, name.join(' > '), status]);
	return {cases: lines.toSorted((a, b) => (String(a) < String(b) ? -1 : 1)), exitCode: last.exitCode};
}

const SUITES: Readonly<Record<TestFramework, {files: Record<string, string>; cases: unknown[]}>> = {
	node: {
		files: {
			'a.test.mjs': `import test, {describe} from 'node:test'; import assert from 'node:assert';
describe('s', () => { test('ok', () => {}); test('bad', () => assert.equal(1, 2)); test('later', {skip: 'why'}, () => {}); });`,
			'b.test.ts': 'const broken: number = 1; throw new Error("cannot be loaded");',
			'not-a-test.mjs': 'throw new Error("nobody runs this");',
		},
		cases: [
			['a.test.mjs', 's > bad', 'failed'],
			['a.test.mjs', 's > later', 'skipped'],
			['a.test.mjs', 's > ok', 'passed'],
			['b.test.ts', 'the file', 'error'],
		],
	},
	pytest: {
		files: {
			'test_a.py': `import pytest, helper
class TestS:
    def test_ok(self): assert helper.one == 1
    def test_bad(self): assert 1 == 2
    @pytest.mark.skip(reason="why")
    def test_later(self): pass
@pytest.fixture
def broken(): raise ValueError("set-up")
def test_fixture(broken): pass
@pytest.mark.xfail
def test_known(): assert 0`,
			'test_b.py': 'import no_such_module',
			'helper.py': 'one = 1',
		},
		cases: [
			['test_a.py', 'TestS > test_bad', 'failed'],
			['test_a.py', 'TestS > test_later', 'skipped'],
			['test_a.py', 'TestS > test_ok', 'passed'],
			['test_a.py', 'test_fixture', 'error'],
			['test_a.py', 'test_known', 'skipped'],
			['test_b.py', 'the file', 'error'],
		],
	},
	vitest: {
		files: {
			'a.test.ts': `import {describe, expect, test} from 'vitest';
describe('s', () => { test('ok', () => {}); test('bad', () => expect(1 as number).toBe(2)); test.skip('later', () => {}); });`,
			'b.test.js': 'throw new Error("cannot be loaded");',
		},
		cases: [
			['a.test.ts', 's > bad', 'failed'],
			['a.test.ts', 's > later', 'skipped'],
			['a.test.ts', 's > ok', 'passed'],
			['b.test.js', 'the file', 'error'],
		],
	},
	playwright: {
		files: {
			'a.spec.ts': `import {expect, test} from '@playwright/test';
test.describe('s', () => {
	test('ok', async ({page}) => { await page.setContent('<button onclick="this.textContent = 1 + 1">x</button>'); await page.click('button'); await expect(page.locator('button')).toHaveText('2'); });
	test('bad', async ({page}) => { await page.setContent('<p>a</p>'); expect(await page.locator('p').textContent()).toBe('b'); });
	test('no network', async ({page}) => { await expect(page.goto('http://1.1.1.1')).rejects.toThrow('net::ERR'); });
	test.skip('later', () => {});
});`,
		},
		cases: [
			['a.spec.ts', 's > bad', 'failed'],
			['a.spec.ts', 's > later', 'skipped'],
			['a.spec.ts', 's > no network', 'passed'],
			['a.spec.ts', 's > ok', 'passed'],
		],
	},
};

for (const [framework, {files, cases}] of Object.entries(SUITES) as [TestFramework, (typeof SUITES)[TestFramework]][]) {
	test(`each case of ${framework} is told as the framework reported it`, {skip: missing[framework]}, async () => {
		assert.deepEqual(told(await run(framework, files)), {cases, exitCode: 1});
	});
}

for (const framework of ['node', 'pytest', 'vitest'] as const) {
	test(`${framework} that finds no tests has failed`, {skip: missing[framework]}, async () => {
		const name = {node: 'a.test.mjs', pytest: 'test_a.py', vitest: 'a.ts'}[framework];
		const last = (await run(framework, {[name]: ''})).at(-1);
		assert.ok(last?.type === 'error', JSON.stringify(last));
		assert.equal(last.code, 'nothing_tested');
	});
}

test('only the paths that were named are run', async () => {
	const one = "import test from 'node:test'; test('one', () => {});";
	const frames = await run('node', {'a.test.mjs': one, 'sub/b.test.mjs': one, 'sub/c.test.mjs': one}, ['sub/', 'a.test.mjs']);
	assert.deepEqual(told(frames).cases, [
		['a.test.mjs', 'one', 'passed'],
		['sub/b.test.mjs', 'one', 'passed'],
		['sub/c.test.mjs', 'one', 'passed'],
	]);
	for (const path of ['gone.test.mjs', '../../etc', '--version']) {
		const last = (await run('node', {'a.test.mjs': one}, [path])).at(-1);
		assert.equal(last?.type === 'error' && last.code, 'nothing_tested', path);
	}
});

test('a test may write next to itself, and what was mounted stays as it was', async () => {
	const code = `import test from 'node:test'; import assert from 'node:assert'; import {writeFileSync} from 'node:fs';
test('writes', () => { writeFileSync('beside', 'x'); assert.throws(() => writeFileSync('/in/beside', 'x'), {code: 'EROFS'}); });`;
	assert.deepEqual(told(await run('node', {'a.test.mjs': code})).cases, [['a.test.mjs', 'writes', 'passed']]);
});

test('a suite that kills its framework before a case was told has failed', async () => {
	const last = (
		await run('node', {'a.test.mjs': "import {execFileSync} from 'node:child_process'; process.kill(process.ppid, 9);"})
	).at(-1);
	assert.ok(last?.type === 'error', JSON.stringify(last));
	assert.deepEqual([last.code, last.details?.exitCode], ['nothing_tested', 137]);
});

for (const [framework, hint] of Object.entries({
	vitest: 'run `npm install --no-save vitest`',
	playwright: 'run `npm install --no-save @playwright/test`',
}))
	test(`${framework} that is not installed is unavailable, and says how to get it`, async () => {
		const empty = mkdtempSync(join(tmpdir(), 'writ-empty-'));
		mkdirSync(join(empty, 'node_modules'));
		mkdirSync(join(empty, 'src/sandbox/runners'), {recursive: true});
		const runtime = createRuntime({root: empty, nodePath: process.execPath, pythonPath: ''});
		const of = {...spec({runner: 'tests'}), framework: framework as TestFramework};
		await assert.rejects(runtime.program(of), {code: 'sandbox_unavailable', hint});
		rmSync(empty, {recursive: true});
	});
