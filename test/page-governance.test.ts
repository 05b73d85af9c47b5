/** What is kept, for how long, what it cost and who answers for it, on the page, in a real browser. */
import assert from 'node:assert/strict';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, describe, test} from 'node:test';
import {assertUsable, openOffice, skip, tabTo} from './browser.ts';

const POLICY = `version: 1
retention: {days: 30}
budgets: {tenant: {runs: 500, storage: 100000000}}
modes: [{mode: propose, tool: analyst.python}]
`;

const CASES = `cases:
  - {name: anybody counts, tool: analyst.sql, input: {dataset_id: support, sql: SELECT 1}, expect: allow}
  - {name: nobody counts, tool: analyst.sql, input: {dataset_id: support, sql: SELECT 1}, expect: deny}
`;

describe('what is kept and answered for, in the page', {skip, timeout: 300_000}, () => {
	const directory = mkdtempSync(join(tmpdir(), 'writ-page-'));
	const policy = join(directory, 'policy.yaml');
	writeFileSync(policy, POLICY);
	after(() => rmSync(directory, {recursive: true, force: true}));
	const {visit, outcomeOf} = openOffice(() => ({WRIT_POLICY_FILE: policy}));

	test('all that read a dataset is held with the keyboard, and released when a second person agrees', async () => {
		assert.equal(await outcomeOf('SQL: SELECT 1'), 'succeeded');
		await visit('/audit', 'ann', async (page) => {
			await page.getByText('Nothing is due for erasure · 0 holds in force').waitFor();
			await tabTo(page, 'Place a hold');
			await page.keyboard.press('Enter');
			await tabTo(page, 'Id of the dataset');
			await page.keyboard.type('support');
			await tabTo(page, 'Reason');
			await page.keyboard.type('a lawsuit');
			await page.keyboard.press('Enter');
			await page.locator('[data-hold=held]').getByText('by ann: a lawsuit').waitFor();
			await page.getByText('1 hold in force').waitFor();
			await assertUsable(page, 'audit');
			await page.getByRole('button', {name: 'Release'}).click();
			await page.getByLabel('Reason', {exact: true}).fill('it is over');
			await page.keyboard.press('Enter');
			await page.locator('[data-hold=asked]').getByText('another person has to agree').waitFor();
		});
		await visit('/audit', 'ben', async (page) => {
			await page.getByRole('button', {name: 'Release'}).click();
			await page.getByLabel('Reason', {exact: true}).fill('so it is');
			await page.keyboard.press('Enter');
			await page.getByText('0 holds in force').waitFor();
		});
	});

	test('what is due is erased by the second press, and by an admin alone', async () => {
		const due = {rules: [{rule: 'days', days: 30, runs: 2, bytes: 2_048}], runs: 2, bytes: 2_048, holds: 0};
		await visit('/audit', 'ann', async (page) => {
			const sent: string[] = [];
			page.on('request', (request) => request.method() === 'POST' && sent.push(new URL(request.url()).pathname));
			// A server has no due run before its time; what is due is said here, and the erasure is the real one.
			await page.route('**/api/v1/retention/preview', (route) => route.fulfill({json: due}));
			await page.reload();
			await page.getByText('2 runs (2.0 KiB) due for erasure').waitFor();
			await page.getByRole('button', {name: 'Erase now'}).click();
			assert.deepEqual(sent, []);
			await page.getByRole('button', {name: 'Erase the content of 2 runs for good'}).click();
			await page.getByText('0 runs erased').waitFor();
			assert.deepEqual(sent, ['/api/v1/retention/run']);
		});
	});

	test('the audit is saved as CSV and as NDJSON, as far as it is filtered', () =>
		visit('/audit', 'ann', async (page) => {
			await page.getByLabel('Tool').fill('analyst.sql');
			await page.getByLabel('Decision').selectOption('allow');
			await page.getByRole('row').nth(1).waitFor();
			const save = async (name: string) => {
				const saved = page.waitForEvent('download');
				await page.getByRole('button', {name, exact: true}).click();
				return readFile(await (await saved).path(), 'utf8');
			};
			const [head = '', first = ''] = (await save('CSV')).split('\r\n');
			assert.deepEqual([head.split(',').includes('decision'), first.includes('analyst.sql')], [true, true]);
			const lines = (await save('NDJSON')).trim().split('\n');
			assert.ok(lines.length > 0);
			for (const line of lines) assert.equal((JSON.parse(line) as {tool: string}).tool, 'analyst.sql');
		}));

	test('another policy is tried on what was recorded, and one that is not sound is refused with the place', () =>
		visit('/system', 'ann', async (page) => {
			await page.getByRole('tab', {name: 'Policy'}).click();
			const text = page.getByLabel('The policy to try');
			await text.waitFor();
			assert.equal(await text.inputValue(), POLICY);
			await text.fill('version: 1\ntols: {}\n');
			await page.getByRole('button', {name: 'Try it'}).click();
			await page.getByRole('alert').getByText(/tols/).first().waitFor();
			await text.fill('version: 1\nmodes: [{mode: observe, tool: analyst.sql}]\n');
			await page.getByRole('button', {name: 'Try it'}).click();
			await page.getByText(/from allow to deny/).waitFor();
			const changes = page.getByRole('region', {name: 'Decisions that would change'}).getByRole('row');
			assert.deepEqual((await changes.nth(1).getByRole('cell').allTextContents()).slice(1, 5), [
				'ann',
				'analyst.sql',
				'allow',
				'deny',
			]);
			await assertUsable(page, 'backtest');
		}));

	test('another policy is checked beside the one in force, with its test cases', () =>
		visit('/system', 'ann', async (page) => {
			await page.getByRole('tab', {name: 'Policy'}).click();
			const text = page.getByLabel('The policy to try');
			await text.fill('version: 1\ntols: {}\n');
			await page.getByRole('button', {name: 'Check it'}).click();
			const check = page.getByRole('region', {name: 'Check'});
			await check.getByText('It could not come into force.').waitFor();
			await check.getByText('policy.yaml:2:1 unknown key `tols`; did you mean `tools`?').waitFor();
			await text.fill(`${POLICY}risk: {decisions: {critical: deny}}\n`);
			await page.getByText('Test cases for it').click();
			await page.getByLabel('Test cases', {exact: true}).fill(CASES);
			await page.getByRole('button', {name: 'Check it'}).click();
			await check.getByText('risk.decisions.critical: "ask" → "deny"').waitFor();
			await check.getByText('2 cases, 1 failed').waitFor();
			await assertUsable(page, 'check');
		}));

	test('it is said why an action that nobody has proposed would be decided so', () =>
		visit('/system', 'ann', async (page) => {
			await page.getByRole('tab', {name: 'Policy'}).click();
			await page.getByLabel('Tool to ask about').selectOption('analyst.python');
			await page.getByLabel('Its input, as JSON').fill('{"dataset_id": ');
			await page.getByRole('button', {name: 'Explain'}).click();
			await page
				.getByRole('alert')
				.getByText(/not JSON/)
				.waitFor();
			await page.getByLabel('Its input, as JSON').fill('{"dataset_id": "support", "python_code": "result = 1"}');
			await page.getByLabel('On behalf of').fill('agent:analyst');
			await page.getByRole('button', {name: 'Explain'}).click();
			const answer = page.getByRole('region', {name: 'agent analyst uses analyst.python'});
			await answer.getByRole('row', {name: /^policy ask/}).waitFor();
			await assertUsable(page, 'explain');
		}));

	test('a run is replayed, and its decisions are taken again, where its evidence is', async () => {
		assert.equal(await outcomeOf('SQL: SELECT 6 * 7 AS answer'), 'succeeded');
		await visit('/runs', 'ann', async (page) => {
			await page
				.getByRole('link', {name: /6 \* 7/})
				.first()
				.click();
			await page.getByRole('tab', {name: 'Evidence'}).click();
			await page.getByRole('button', {name: 'Replay'}).click();
			const replay = page.locator('[data-verdict=same]');
			await replay.getByText('analyst.sql').waitFor();
			await page.getByText('action.decided').first().click();
			await page.getByRole('button', {name: 'Decide it now'}).click();
			await page.getByRole('region', {name: 'With the policy in force'}).getByText('allow', {exact: true}).first().waitFor();
			await assertUsable(page, 'replay');
			await replay.getByRole('link', {name: 'The run that did it again'}).click();
			await page.getByText('6 * 7').first().waitFor();
		});
	});

	test('an approval is read and granted with the keyboard by somebody else', async () => {
		assert.equal(await outcomeOf('PYTHON: result = 6 * 7'), 'awaiting_approval');
		await visit('/approvals', 'ben', async (page) => {
			await page.getByRole('article').getByText('result = 6 * 7').waitFor();
			await assertUsable(page, 'inbox');
			await tabTo(page, 'Comment');
			await page.keyboard.type('it is harmless');
			await tabTo(page, 'Approve');
			await page.keyboard.press('Enter');
			await page.getByText('Nothing waits for you').waitFor();
		});
	});

	test('what a tenant has used and may use fits both themes and both widths', () =>
		visit('/system', 'ann', async (page) => {
			for (const name of ['Budget', 'Modes', 'Tools', 'Settings', 'Health']) {
				await page.getByRole('tab', {name}).click();
				await page.getByRole('tabpanel', {name}).locator('li, td').first().waitFor();
				await assertUsable(page, name.toLowerCase());
			}
		}));

	test('a dataset is removed by the second press, when somebody else approves it', async () => {
		await visit('/datasets/sensors', 'ann', async (page) => {
			await page.getByRole('button', {name: 'Remove'}).click();
			await assertUsable(page, 'remove');
			await page.getByRole('button', {name: 'Remove sensors for good'}).click();
			await page.getByText('A person has to approve it').waitFor();
		});
		await visit('/approvals', 'ben', async (page) => {
			await page.getByRole('article').getByText('remove the dataset sensors').first().waitFor();
			await page.getByRole('button', {name: 'Approve', exact: true}).click();
			await page.getByText('Nothing waits for you').waitFor();
		});
		await visit('/datasets', 'ann', async (page) => {
			await page
				.getByRole('link', {name: /support/})
				.first()
				.waitFor();
			assert.equal(await page.getByRole('link', {name: /sensors/}).count(), 0);
		});
	});
});
