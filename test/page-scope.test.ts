/** What one run may do, and what is stopped, on the page, in a real browser. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import type {Page} from 'playwright-core';
import {assertUsable, openOffice, type Person, skip} from './browser.ts';
import {eventually} from './server.ts';

const statusOf = (page: Page) => page.locator('#messages article').last().locator('[data-status]');

async function ask(page: Page, question: string): Promise<string> {
	await page.selectOption('#dataset', 'support');
	await page.fill('#message', question);
	await page.keyboard.press('Control+Enter');
	await page.locator('#messages article').last().getByText(question).first().waitFor();
	await page.getByRole('button', {name: 'Send'}).waitFor();
	return (await statusOf(page).getAttribute('data-status')) ?? '';
}

const QUESTION = 'how many tickets by priority?';

describe('what may be done, in the page', {skip, timeout: 300_000}, () => {
	const {visit, outcomeOf} = openOffice();

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
			const plan = rows.filter({hasText: 'analyst.query_plan'});
			await plan.waitFor();
			assert.deepEqual(await plan.locator('th, td').allTextContents(), [
				'query-plan',
				'analyst.query_plan',
				'10',
				'dataset_id is "support"plan anything of at most 20000 characters',
			]);
			await assertUsable(page, 'scope');
		}));

	test('a tool, an agent and a tenant are held back one by one, seen, and let go on by two people', async () => {
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
			await page.keyboard.press('Escape');
			await page.getByRole('link', {name: 'System'}).waitFor();
			assert.equal(await page.getByRole('link', {name: /^(Audit|Accounts)$/}).count(), 0);
			await page.goto(new URL('/system', page.url()).href);
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
