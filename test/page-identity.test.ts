/** Signing in, out, and making tokens with the page, in a real browser against a real provider. */
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {promisify} from 'node:util';
import axe from 'axe-core';
import {type Browser, chromium, type Page} from 'playwright-core';
import {isWellFormed} from '#identity/token.ts';
import {type Issuer, Browser as Person, startIssuer} from './issuer.ts';
import {freshData, ROOT, type Scope, startWrit, type Writ} from './server.ts';

const CHROMIUM = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
	(path) => path !== undefined && existsSync(path),
);
const skip = CHROMIUM === undefined && !process.env.CI ? 'there is no Chromium: apt-get install chromium' : false;
/** Where to leave pictures of what was seen; nowhere unless it is said. */
const PICTURES = process.env.WRIT_TEST_PICTURES;

const endings: (() => Promise<void> | void)[] = [];
const scope: Scope = {after: (work) => void endings.unshift(work)};
const state = {browser: null as Browser | null, issuer: null as Issuer | null, writ: null as Writ | null};

/** A visit that ends with no error in the page; what the server refuses on purpose is told by its status. */
async function visit(act: (page: Page, writ: Writ) => Promise<void>, {width = 1_280} = {}): Promise<void> {
	const {browser, writ} = state;
	assert.ok(browser && writ, 'Chromium is needed: apt-get install chromium');
	const permissions = ['clipboard-read', 'clipboard-write'];
	const context = await browser.newContext({viewport: {width, height: 840}, permissions});
	const page = await context.newPage();
	const problems: string[] = [];
	page.on('pageerror', (error) => problems.push(`thrown: ${error.message}`));
	page.on('console', (message) => {
		if (message.type() === 'error' && !/status of (40[13]|503)/.test(message.text())) problems.push(message.text());
	});
	try {
		await page.goto(writ.url);
		await act(page, writ);
		assert.deepEqual(problems, []);
	} finally {
		await context.close();
	}
}

async function picture(page: Page, name: string): Promise<void> {
	if (PICTURES) await page.screenshot({path: join(PICTURES, `${name}.png`)});
}

async function assertAccessible(page: Page): Promise<void> {
	await page.evaluate(axe.source);
	const found = await page.evaluate<{violations: {id: string; nodes: {html: string}[]}[]}>(
		"axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})",
	);
	assert.deepEqual(
		found.violations.map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html).join(' ')}`),
		[],
	);
}

const signIn = (page: Page) => page.getByRole('link', {name: 'Sign in with Acme'}).click();

describe('who one is, in the page', {skip, timeout: 300_000}, () => {
	before(async () => {
		if (!existsSync(join(ROOT, 'web/dist/index.html'))) {
			const vite = join(ROOT, 'node_modules/vite/bin/vite.js');
			await promisify(execFile)(process.execPath, [vite, 'build', 'web', '--logLevel', 'warn'], {cwd: ROOT});
		}
		state.issuer = await startIssuer(scope);
		state.issuer.people.set('ann', {tenant: 'acme', roles: ['viewer', 'analyst', 'approver'], name: 'Ann Lee'});
		state.writ = await startWrit(scope, {
			dataDir: freshData(scope),
			until: 'listening',
			env: {...state.issuer.env, OIDC_LABEL: 'Acme'},
		});
		state.issuer.serve(new URL('/auth/callback', state.writ.url).href);
		const flags = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-sync'];
		state.browser = await chromium.launch({executablePath: CHROMIUM ?? '', args: flags});
	});
	after(async () => {
		await state.browser?.close();
		for (const end of endings) await end();
	});

	test('a person signs in with the provider, sees who they are, and signs out', () =>
		visit(async (page) => {
			await page.getByRole('dialog', {name: 'Who are you?'}).waitFor();
			await assertAccessible(page);
			await picture(page, 'sign-in');
			await signIn(page);
			await page.getByText('There are no datasets yet.').waitFor();
			await page.getByRole('link', {name: /^Account/}).click();
			await page.getByText('ann of acme. You signed in.').waitFor();
			assert.deepEqual(
				await page
					.getByRole('listitem')
					.filter({hasText: /^(viewer|analyst|approver)$/})
					.allTextContents(),
				['viewer', 'analyst', 'approver'],
			);
			await page.getByRole('button', {name: 'Sign out'}).click();
			await page.getByRole('dialog', {name: 'Who are you?'}).waitFor();
			const cookies = await page.context().cookies(state.writ?.url ?? '');
			assert.deepEqual(
				cookies.filter(({name}) => name.startsWith('writ_')),
				[],
			);
		}));

	test('a token is made, shown once, works, and is revoked', () =>
		visit(async (page, writ) => {
			await signIn(page);
			await page.getByRole('link', {name: /^Account/}).click();
			await page.getByLabel('Name', {exact: true}).fill('nightly');
			await page.getByLabel('Acts as').selectOption('agent');
			assert.equal(await page.getByLabel('approver').count(), 0);
			await page.getByLabel('analyst', {exact: true}).check();
			await page.getByLabel('Lasts').selectOption('30');
			await page.getByRole('button', {name: 'Make the token'}).click();
			await page.getByText('it is shown this once').waitFor();
			await assertAccessible(page);
			await picture(page, 'token');
			await page.getByRole('button', {name: 'Copy', exact: true}).click();
			const token = await page.evaluate<string>('navigator.clipboard.readText()');
			assert.ok(isWellFormed(token), token);
			const use = () => writ.request('/api/v1/me', {headers: {authorization: `Bearer ${token}`}});
			const {id, roles} = (await (await use()).json()) as {id: string; roles: string[]};
			assert.deepEqual([id, roles], ['ann/nightly', ['viewer', 'analyst']]);
			await page.reload();
			await page.getByRole('cell', {name: 'nightly', exact: true}).waitFor();
			assert.ok(!(await page.content()).includes(token));
			await page.getByRole('button', {name: 'Revoke nightly'}).click();
			await page.getByText('revoked', {exact: true}).waitFor();
			assert.equal((await use()).status, 401);
		}));

	test('an admin sees who may come in, ends their tokens, and shuts an account out and lets it in again', async () => {
		const {issuer, writ} = state;
		assert.ok(issuer && writ);
		issuer.people.set('carl', {tenant: 'acme', roles: ['viewer', 'analyst'], name: 'Carl'});
		issuer.people.set('ann', {tenant: 'acme', roles: ['viewer', 'admin'], name: 'Ann Lee'});
		const carl = new Person('carl');
		await carl.signIn(writ.url);
		const bot = JSON.stringify({name: 'carls-bot', kind: 'agent', roles: ['viewer']});
		const json = {'content-type': 'application/json'};
		const made = await carl.page(new URL('/api/v1/tokens', writ.url).href, {method: 'POST', body: bot, headers: json});
		const {token} = (await made.json()) as {token: string};
		const statusOf = async () => [
			(await carl.get(new URL('/api/v1/me', writ.url).href)).status,
			(await writ.request('/api/v1/me', {headers: {authorization: `Bearer ${token}`}})).status,
		];
		assert.deepEqual(await statusOf(), [200, 200]);
		await visit(async (page) => {
			await signIn(page);
			await page.getByRole('link', {name: 'Accounts'}).click();
			const row = page.getByRole('region', {name: 'People'}).getByRole('row', {name: /^carl/});
			await row.waitFor();
			assert.deepEqual((await row.getByRole('cell').allTextContents()).slice(0, 3), ['Carl', 'provider', 'viewer, analyst']);
			await assertAccessible(page);
			await picture(page, 'accounts');

			await row.getByRole('button', {name: '1 active: show the tokens of carl'}).click();
			const keys = page.getByRole('region', {name: 'Tokens of the tenant'});
			await keys.getByRole('cell', {name: 'nightly'}).waitFor({state: 'detached'});
			assert.deepEqual((await keys.getByRole('cell').allTextContents()).slice(0, 5), [
				'carls-bot',
				'agent',
				'carl',
				'viewer',
				'all of its roles',
			]);
			await keys.getByRole('button', {name: 'Revoke carls-bot'}).click();
			await keys.getByText('revoked', {exact: true}).waitFor();
			assert.deepEqual(await statusOf(), [200, 401]);

			await row.getByRole('button', {name: 'Disable: carl'}).click();
			assert.deepEqual(await statusOf(), [200, 401]);
			await row.getByRole('button', {name: 'End sessions and disable: carl'}).click();
			await row.getByText('disabled', {exact: true}).waitFor();
			assert.deepEqual(await statusOf(), [401, 401]);
			await row.getByRole('button', {name: 'Enable: carl'}).click();
			await row.getByText('enabled', {exact: true}).waitFor();

			await page.getByLabel('Owner').selectOption('');
			await page.getByLabel('Name', {exact: true}).fill('ci');
			await page.getByLabel('Acts as').selectOption('service');
			await page.getByRole('button', {name: 'Make the token'}).click();
			await keys.getByRole('row', {name: /^ci service itself viewer/}).waitFor();
			await page.setViewportSize({width: 390, height: 840});
			await picture(page, 'accounts-phone');
			assert.equal(await page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth'), true);
		});
	});

	test('whoever is no admin sees no way to the accounts, and is told so at their address', () => {
		state.issuer?.people.set('ann', {tenant: 'acme', roles: ['viewer', 'approver'], name: 'Ann Lee'});
		return visit(async (page, writ) => {
			await signIn(page);
			await page.getByRole('link', {name: /^Account Ann/}).waitFor();
			assert.equal(await page.getByRole('link', {name: 'Accounts'}).count(), 0);
			const asked: string[] = [];
			page.on('request', (request) => asked.push(new URL(request.url()).pathname));
			await page.goto(new URL('/accounts', writ.url).href);
			await page.getByText('Accounts are for the role admin to see').waitFor();
			await page.getByText('You have: viewer, approver.').waitFor();
			assert.ok(asked.length > 0 && !asked.includes('/api/v1/accounts'));
		});
	});

	test('whoever has no role here is told so', () => {
		state.issuer?.people.set('ann', {tenant: 'acme', name: 'Ann Lee'});
		return visit(async (page) => {
			await signIn(page);
			await page.getByText(/nobody has given you access here/).waitFor();
			await picture(page, 'refused');
			assert.equal(new URL(page.url()).search, '');
			state.issuer?.people.set('ann', {tenant: 'acme', roles: ['viewer'], name: 'Ann Lee'});
		});
	});

	test('at the width of a phone the account fits', () =>
		visit(
			async (page, writ) => {
				await signIn(page);
				await page.getByText('There are no datasets yet.').waitFor();
				await page.goto(new URL('/account', writ.url).href);
				await page.getByRole('heading', {name: 'API tokens'}).waitFor();
				await picture(page, 'phone');
				assert.equal(await page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth'), true);
			},
			{width: 375},
		));
});
