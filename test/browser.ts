/** People in front of the page: a real browser, a real server that knows each by a token, and what no visit may end with. */
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {after, before} from 'node:test';
import {promisify} from 'node:util';
import axe from 'axe-core';
import {type Browser, chromium, type Page} from 'playwright-core';
import type {ChatResponse, ErrorReply} from '#contract/api.ts';
import {type Env, jsonPost, ROOT, type Scope, startWrit, type Writ} from './server.ts';

const CHROMIUM = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
	(path) => path !== undefined && existsSync(path),
);
export const skip = CHROMIUM === undefined && !process.env.CI ? 'there is no Chromium: apt-get install chromium' : false;
/** Where to leave pictures of what was seen; nowhere unless it is said. */
const PICTURES = process.env.WRIT_TEST_PICTURES;

/** All of the tenant of the samples: two who may do everything, and one who may look. */
const PEOPLE = {ann: '', ben: '', vera: ':viewer'} as const;
export type Person = keyof typeof PEOPLE;
const tokenOf = (person: Person) => `${person}-token-0123456789`;
const TOKENS = Object.entries(PEOPLE).map(([person, roles]) => `${tokenOf(person as Person)}=${person}@local${roles}`);

export type Office = {
	/** A visit of somebody that ends with no error in the page. */
	visit(path: string, person: Person, act: (page: Page) => Promise<void>): Promise<void>;
	/** What becomes of a question that ann asks beside the page: the status of its run, or the code of what refused it. */
	outcomeOf(message: string): Promise<string>;
};

/** For one `describe`: a server and a browser from before its tests until after them. */
export function openOffice(env: () => Env = () => ({})): Office {
	const endings: (() => Promise<void> | void)[] = [];
	const scope: Scope = {after: (work) => void endings.unshift(work)};
	const state = {browser: null as Browser | null, writ: null as Writ | null};
	before(async () => {
		if (!existsSync(join(ROOT, 'web/dist/index.html'))) {
			const vite = join(ROOT, 'node_modules/vite/bin/vite.js');
			await promisify(execFile)(process.execPath, [vite, 'build', 'web', '--logLevel', 'warn'], {cwd: ROOT});
		}
		state.writ = await startWrit(scope, {env: {WRIT_AUTH_TOKENS: TOKENS.join(','), ...env()}});
		state.browser = await chromium.launch({executablePath: CHROMIUM ?? '', args: ['--no-sandbox', '--disable-gpu']});
	});
	after(async () => {
		await state.browser?.close();
		for (const end of endings) await end();
	});
	return {
		async visit(path, person, act) {
			const {browser, writ} = state;
			assert.ok(browser && writ, 'Chromium is needed: apt-get install chromium');
			// Colours that are on their way from one theme to the other are nobody's.
			const page = await browser.newPage({viewport: {width: 1_280, height: 840}, reducedMotion: 'reduce'});
			const problems = listen(page);
			await page.addInitScript(`sessionStorage.setItem('writToken', '${tokenOf(person)}')`);
			try {
				await page.goto(new URL(path, writ.url).href);
				await act(page);
				assert.deepEqual(problems, []);
			} finally {
				await page.close();
			}
		},
		async outcomeOf(message) {
			const {headers, ...init} = jsonPost({dataset_id: 'support', message});
			const authorization = `Bearer ${tokenOf('ann')}`;
			const given = {...(headers as Record<string, string>), authorization};
			const reply = await state.writ?.request('/chat', {...init, headers: given});
			const body = (await reply?.json()) as ChatResponse & ErrorReply;
			return body.error?.code ?? body.status;
		},
	};
}

function listen(page: Page): readonly string[] {
	const problems: string[] = [];
	page.on('pageerror', (error) => problems.push(`thrown: ${error.message}`));
	page.on('console', (message) => {
		if (message.type() === 'error' && !/status of (422|503)/.test(message.text())) problems.push(message.text());
	});
	return problems;
}

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/** In both themes, at the width of a desk and of a phone. */
export async function assertUsable(page: Page, name: string): Promise<void> {
	await page.evaluate(axe.source);
	for (const colorScheme of ['light', 'dark'] as const) {
		await page.emulateMedia({colorScheme});
		const found = await page.evaluate<{violations: {id: string; nodes: {html: string}[]}[]}>(
			`axe.run({runOnly: ${JSON.stringify(RULES)}})`,
		);
		assert.deepEqual(
			found.violations.map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html).join(' ')}`),
			[],
			`${name} in ${colorScheme}`,
		);
		for (const width of [1_280, 390]) {
			await page.setViewportSize({width, height: 840});
			if (PICTURES) await page.screenshot({path: join(PICTURES, `${name}-${colorScheme}-${width}.png`)});
			assert.ok(await page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth'), `${name} at ${width}`);
		}
		await page.setViewportSize({width: 1_280, height: 840});
	}
	await page.emulateMedia({colorScheme: null});
}

/** Presses Tab until what has the focus is called so. */
export async function tabTo(page: Page, name: string): Promise<void> {
	const focused = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()";
	for (let hops = 0; hops < 60; hops += 1) {
		if ((await page.evaluate<string>(focused)) === name) return;
		await page.keyboard.press('Tab');
	}
	assert.fail(`the focus never got to ${name}`);
}
