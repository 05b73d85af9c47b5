/** What a tenant may use and keeps, on the page, in a real browser. */
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {promisify} from 'node:util';
import {chromium} from 'playwright-core';
import {freshData, ROOT, startWrit} from './server.ts';

const CHROMIUM = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
	(path) => path !== undefined && existsSync(path),
);
const skip = CHROMIUM === undefined && !process.env.CI ? 'there is no Chromium: apt-get install chromium' : false;

test('the page says what a tenant keeps and may keep', {skip}, async (t) => {
	const directory = mkdtempSync(join(tmpdir(), 'writ-budget-'));
	t.after(() => rmSync(directory, {recursive: true, force: true}));
	const policy = join(directory, 'policy.yaml');
	writeFileSync(policy, 'version: 1\nbudgets: {tenant: {runs: 50, money: 5, storage: 4096}}\n');
	if (!existsSync(join(ROOT, 'web/dist/index.html')))
		await promisify(execFile)(process.execPath, [join(ROOT, 'node_modules/vite/bin/vite.js'), 'build', 'web'], {cwd: ROOT});
	const writ = await startWrit(t, {dataDir: freshData(t), env: {WRIT_POLICY_FILE: policy}, until: 'listening'});
	const files = [{name: 'a.txt', content: 'x'.repeat(3_072)}];
	assert.equal((await writ.post('/api/v1/code', {language: 'javascript', code: '1', files})).status, 200);

	const browser = await chromium.launch({executablePath: CHROMIUM ?? '', args: ['--no-sandbox']});
	t.after(() => browser.close());
	const page = await browser.newPage();
	const problems: string[] = [];
	page.on('pageerror', (error) => problems.push(error.message));
	await page.goto(new URL('/system', writ.url).href);
	await page.getByRole('tab', {name: 'Budget'}).click();
	const cellsOf = (name: RegExp) => page.getByRole('row', {name}).getByRole('cell').allTextContents();
	await page.getByRole('row', {name: /^Datasets and files on disk/}).waitFor();
	assert.deepEqual(await cellsOf(/^Datasets and files on disk/), ['3.0 KiB', '0 B', '4.0 KiB', 'when given back']);
	assert.deepEqual((await cellsOf(/^Money/)).slice(0, 3), ['$0.00', '$0.00', '$5.00']);
	assert.deepEqual(problems, []);
});
