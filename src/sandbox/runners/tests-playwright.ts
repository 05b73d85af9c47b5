/**
 * Runs the files it is given, or all tests below the working directory, with Playwright in the system's Chromium. A child of tests.ts.
 * The test runner takes its settings and its reporter from files of their own, so this writes them.
 */
import {spawn} from 'node:child_process';
import {existsSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {exitCodeOf} from './exit-code.ts';

const CLI = '/node_modules/@playwright/test/cli.js';
/** The sandbox around it is ours: Chromium's own needs namespaces, which nobody inside may make. */
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-zygote', '--disable-breakpad'];

const reporter = join(tmpdir(), 'playwright-reporter.mjs');
const config = join(tmpdir(), 'playwright-config.mjs');
const settings = {
	testDir: process.cwd(),
	outputDir: join(existsSync('/out') ? '/out' : tmpdir(), 'playwright'),
	workers: 1,
	reporter: [[reporter], ['list']],
	use: {
		launchOptions: {executablePath: '/usr/lib/chromium/chromium', chromiumSandbox: false, args: FLAGS},
		screenshot: 'only-on-failure',
	},
};
writeFileSync(
	reporter,
	`export {CaseReporter as default} from ${JSON.stringify(join(import.meta.dirname, 'tests-playwright-reporter.ts'))};\n`,
);
writeFileSync(config, `export default ${JSON.stringify(settings)};\n`);
const args = [CLI, 'test', '--config', config, ...process.argv.slice(2)];
const child = spawn(process.execPath, args, {stdio: ['ignore', 'inherit', 'inherit', 'ignore', 4]});
process.exitCode = await exitCodeOf(child);
