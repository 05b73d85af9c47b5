/** What one run may do, and what is stopped, on the page, in a real browser. */
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {promisify} from 'node:util';
import axe from 'axe-core';
import {type Browser, chromium, type Page} from 'playwright-core';
import type {ChatResponse, ErrorReply} from '#contract/api.ts';
import {eventually, jsonPost, ROOT, type Scope, startWrit, type Writ} from './server.ts';

const CHROMIUM = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
	(path) => path !== undefined && existsSync(path),
);
const skip = CHROMIUM === undefined && !process.env.CI ? 'there is no Chromium: apt-get install chromium' : false;
/** Where to leave pictures of what was seen; nowhere unless it is said. */
const PICTURES = process.env.WRIT_TEST_PICTURES;

const endings: (() => Promise<void> | void)[] = [];
const scope: Scope = {after: (work) => void endings.unshift(work)};
const state = {browser: null as Browser | null, writ: null as Writ | null};

const PEOPLE = {ann: '', ben: '', vera: ':viewer'} as const;
type Person = keyof typeof PEOPLE;
const tokenOf = (person: Person) => `${person}-token-0123456789`;
const TOKENS = Object.entries(PEOPLE).map(([person, roles]) => `${tokenOf(person as Person)}=${person}@local${roles}`);

/** A visit of somebody that ends with no error in the page. */
async function visit(path: string, person: Person, act: (page: Page) => Promise<void>): Promise<void> {
	const {browser, writ} = state;
	assert.ok(browser && writ, 'Chromium is needed: apt-get install chromium');
	const page = await browser.newPage({viewport: {width: 1_280, height: 840}});
	await page.addInitScript(`sessionStorage.setItem('writToken', '${tokenOf(person)}')`);
	const problems: string[] = [];
	page.on('pageerror', (error) => problems.push(`thrown: ${error.message}`));
	page.on('console', (message) => {
		if (message.type() === 'error' && !/status of 503/.test(message.text())) problems.push(message.text());
	});
	try {
		await page.goto(new URL(path, writ.url).href);
		await act(page);
		assert.deepEqual(problems, []);
	} finally {
		await page.close();
	}
}

/** At the width of a desk and of a phone. */
async function assertUsable(page: Page, name: string): Promise<void> {
	await page.evaluate(axe.source);
	const found = await page.evaluate<{violations: {id: string; nodes: {html: string}[]}[]}>(
		"axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})",
	);
	assert.deepEqual(
		found.violations.map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html).join(' ')}`),
		[],
	);
	for (const width of [1_280, 390]) {
		await page.setViewportSize({width, height: 840});
		if (PICTURES) await page.screenshot({path: join(PICTURES, `${name}-${width}.png`)});
		assert.ok(await page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth'), `${name} at ${width}`);
	}
	await page.setViewportSize({width: 1_280, height: 840});
}

const statusOf = (page: Page) => page.locator('#messages article').last().locator('[data-status]');

async function ask(page: Page, question: string): Promise<string> {
	await page.selectOption('#dataset', 'support');
	await page.fill('#message', question);
	await page.keyboard.press('Control+Enter');
	await page.locator('#messages article').last().getByText(question).first().waitFor();
	await page.getByRole('button', {name: 'Send'}).waitFor();
	return (await statusOf(page).getAttribute('data-status')) ?? '';
}

/** What becomes of a question that ann asks beside the page: the status of its run, or the code of what refused it. */
async function outcomeOf(message: string): Promise<string> {
	const {headers, ...init} = jsonPost({dataset_id: 'support', message});
	const authorization = `Bearer ${tokenOf('ann')}`;
	const reply = await state.writ?.request('/chat', {...init, headers: {...(headers as Record<string, string>), authorization}});
	const body = (await reply?.json()) as ChatResponse & ErrorReply;
	return body.error?.code ?? body.status;
}

const QUESTION = 'how many tickets by priority?';

describe('what may be done, in the page', {skip, timeout: 300_000}, () => {
	before(async () => {
		if (!existsSync(join(ROOT, 'web/dist/index.html'))) {
			const vite = join(ROOT, 'node_modules/vite/bin/vite.js');
			await promisify(execFile)(process.execPath, [vite, 'build', 'web', '--logLevel', 'warn'], {cwd: ROOT});
		}
		state.writ = await startWrit(scope, {env: {WRIT_AUTH_TOKENS: TOKENS.join(',')}});
		state.browser = await chromium.launch({executablePath: CHROMIUM ?? '', args: ['--no-sandbox', '--disable-gpu']});
	});
	after(async () => {
		await state.browser?.close();
		for (const end of endings) await end();
	});

	test('a question is limited to one dataset and some tools, and its evidence says so', () =>
		visit('/', 'ann', async (page) => {
			assert.equal(await ask(page, QUESTION), 'succeeded');
			await page.getByRole('button', {name: 'May use: all'}).click();
			await page.getByLabel('Only support, by').check();
			await page.getByLabel('Query plans').uncheck();
			await assertUsable(page, 'may-use');
			assert.notEqual(await ask(page, QUESTION), 'succeeded');
			await page
				.getByText(/`?analyst.query_plan`? is not in the scope that this run was started with/)
				.first()
				.waitFor();
			await page.getByLabel('Query plans').check();
			assert.equal(await ask(page, QUESTION), 'succeeded');
			await page.getByRole('button', {name: 'May use: Query plans, SQL'}).waitFor();
			await page.getByRole('tablist', {name: 'Result'}).getByRole('tab', {name: 'Evidence'}).click();
			const rows = page.getByRole('region', {name: 'Scope'}).getByRole('row');
			await rows.nth(2).waitFor();
			assert.deepEqual(await rows.nth(2).locator('th, td').allTextContents(), [
				'query-plan',
				'analyst.query_plan',
				'10',
				'dataset_id is "support"plan anything of at most 20000 characters',
			]);
			await assertUsable(page, 'scope');
		}));

	test('a tool, an agent and a tenant are held back one by one, seen, and let go on by two people', async () => {
		const {writ} = state;
		assert.ok(writ);
		await visit('/system', 'ann', async (page) => {
			await page.getByRole('tab', {name: 'Modes'}).click();
			const form = page.getByRole('form', {name: 'Set the mode of a part of your tenant'});
			const set = async (mode: string, part: {agent?: string; tool?: string}, reason: string) => {
				await form.getByLabel('Mode').selectOption(mode);
				await form.getByLabel('Agent').fill(part.agent ?? '');
				await form.getByLabel(/^Tool/).fill(part.tool ?? '');
				await form.getByLabel('Why?').fill(reason);
				await form.getByRole('button', {name: 'Set'}).click();
			};
			const shown = (text: RegExp) => page.getByRole('listitem').filter({hasText: text}).waitFor();
			await shown(/^The whole platform: execute/);
			assert.deepEqual([await outcomeOf('SQL: SELECT 1'), await outcomeOf(QUESTION)], ['succeeded', 'succeeded']);

			await set('propose', {tool: 'analyst.sql'}, 'ask me');
			await shown(/tool analyst\.sql: propose · set by ann · ask me/);
			assert.deepEqual([await outcomeOf('SQL: SELECT 1'), await outcomeOf(QUESTION)], ['awaiting_approval', 'succeeded']);
			await set('observe', {tool: 'analyst.sql'}, 'look first');
			await shown(/tool analyst\.sql: observe · set by ann · look first/);
			assert.deepEqual([await outcomeOf('SQL: SELECT 1'), await outcomeOf(QUESTION)], ['rejected', 'succeeded']);
			await assertUsable(page, 'modes');
			await page.getByRole('button', {name: 'Let it go on: tenant local, tool analyst.sql'}).click();
			await shown(/tool analyst\.sql: observe .* ann wants execute; another person has to agree/);
			assert.equal(await outcomeOf('SQL: SELECT 1'), 'rejected');

			await set('observe', {agent: 'analyst'}, 'it wanders');
			await shown(/agent analyst: observe · set by ann · it wanders/);
			assert.equal(await outcomeOf(QUESTION), 'stopped');
			await set('observe', {}, 'all of it');
			await shown(/tenant local: observe · set by ann · all of it/);
			await page.getByRole('button', {name: 'Stopped. Let all of local go on'}).waitFor();
			assert.equal(await outcomeOf('SQL: SELECT 1'), 'stopped');
		});
		await visit('/', 'vera', async (page) => {
			await page.getByRole('button', {name: 'Stopped. It is all of local'}).click();
			await page.getByText('ann stopped it: all of it.').waitFor();
			await page.getByText('It takes the role admin to let it go on.').waitFor();
			await page.goto(new URL('/system', writ.url).href);
			await page.getByRole('tab', {name: 'Modes'}).click();
			await page.getByText('It takes the role admin to set a mode').waitFor();
			assert.equal(await page.getByRole('button', {name: /^(Let it go on|Agree)/}).count(), 0);
		});
		const letGo = async (person: Person, label: RegExp, left: number) =>
			visit('/system', person, async (page) => {
				await page.getByRole('tab', {name: 'Modes'}).click();
				const buttons = page.getByRole('button', {name: label});
				await buttons.first().waitFor();
				for (let count = await buttons.count(); count > left; count -= 1) {
					await buttons.first().click();
					await eventually('one less', async () => (await buttons.count()) < count || undefined);
				}
			});
		await letGo('ann', /^Let it go on: /, 0);
		await letGo('ben', /^Agree: /, 0);
		assert.deepEqual([await outcomeOf('SQL: SELECT 1'), await outcomeOf(QUESTION)], ['succeeded', 'succeeded']);
	});

	test('everything is stopped with one button, and goes on when a second person agrees', async () => {
		await visit('/', 'ann', async (page) => {
			await page.getByRole('button', {name: 'Stop everything'}).click();
			const dialog = page.getByRole('dialog', {name: 'Stop everything?'});
			await dialog.getByLabel('Reason').fill('a drill');
			await page.keyboard.press('Enter');
			await page.getByRole('button', {name: 'Stopped. Let the platform go on'}).waitFor();
			assert.equal(await outcomeOf('SQL: SELECT 1'), 'stopped');
			await assertUsable(page, 'stopped');
			await page.getByRole('button', {name: 'Stopped. Let the platform go on'}).click();
			await page.getByText('ann stopped it: a drill.').waitFor();
			await page.getByRole('button', {name: 'Let it go on'}).click();
			await page.getByRole('dialog').waitFor({state: 'detached'});
			assert.equal(await outcomeOf('SQL: SELECT 1'), 'stopped', 'one person alone does not let it go on');
		});
		await visit('/', 'ben', async (page) => {
			await page.getByRole('button', {name: 'Stopped. Let the platform go on'}).click();
			await page.getByText('ann wants it to go on; another person has to agree.').waitFor();
			await page.getByRole('button', {name: 'Let it go on'}).click();
			await page.getByRole('button', {name: 'Stop everything'}).waitFor();
			assert.equal(await outcomeOf('SQL: SELECT 1'), 'succeeded');
		});
	});
});
