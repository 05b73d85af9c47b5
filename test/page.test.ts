/**
 * The page in a real browser against a real server. Every test ends by asserting that the page talked to that server alone, met no
 * error, and broke no rule of its content policy.
 */
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {promisify} from 'node:util';
import axe from 'axe-core';
import {type Browser, type BrowserContext, chromium, type Locator, type Page} from 'playwright-core';
import {eventually, freshData, ROOT, type Scope, startWrit} from './server.ts';

const CHROMIUM = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
	(path) => path !== undefined && existsSync(path),
);
const FLAGS = [
	'--no-sandbox',
	'--disable-gpu',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
];
const skip = CHROMIUM === undefined && !process.env.CI ? 'there is no Chromium: apt-get install chromium' : false;

const endings: (() => Promise<void> | void)[] = [];
const scope: Scope = {after: (work) => void endings.unshift(work)};
const state = {url: '', dir: '', browser: null as Browser | null};

const TELL_VIOLATIONS = `document.addEventListener('securitypolicyviolation', (event) =>
	console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))`;
const CLIPBOARD = 'navigator.clipboard.readText()';
const GROUND = 'getComputedStyle(document.body).backgroundColor';

type Visit = {readonly page: Page; readonly context: BrowserContext; readonly requests: string[]; readonly problems: string[]};
type Options = {
	readonly dark?: boolean;
	readonly width?: number;
	readonly path?: string;
	readonly base?: string;
	readonly tolerate?: RegExp;
};

/** Opens the page, hands it to `act`, and then holds it to what no visit may do. */
async function visit(options: Options, act: (visit: Visit) => Promise<void>): Promise<void> {
	assert.ok(state.browser, 'Chromium is needed: apt-get install chromium');
	const {dark = false, width = 1280, path = '/', base = state.url, tolerate} = options;
	const context = await state.browser.newContext({
		viewport: {width, height: 840},
		colorScheme: dark ? 'dark' : 'light',
		acceptDownloads: true,
		permissions: ['clipboard-read', 'clipboard-write'],
	});
	const page = await context.newPage();
	const requests: string[] = [];
	const problems: string[] = [];
	page.on('request', (request) => requests.push(request.url()));
	page.on('pageerror', (error) => problems.push(`thrown: ${error.message}`));
	page.on('dialog', (dialog) => problems.push(`dialog: ${dialog.message()}`));
	page.on('console', (message) => {
		if (['error', 'warning'].includes(message.type())) problems.push(`${message.type()}: ${message.text()}`);
	});
	await page.addInitScript(TELL_VIOLATIONS);
	try {
		await page.goto(new URL(path, base).href);
		await act({page, context, requests, problems});
		assert.deepEqual(
			problems.filter((problem) => !tolerate?.test(problem)),
			[],
		);
		assert.ok(requests.length > 3, 'no request was seen');
		const {host} = new URL(base);
		const elsewhere = requests.filter((url) => !/^(blob|data):/.test(url) && new URL(url).host !== host);
		assert.deepEqual(elsewhere, []);
	} finally {
		await context.close();
	}
}

async function ask(page: Page, dataset: string, question: string): Promise<void> {
	await page.selectOption('#dataset', dataset);
	await page.fill('#message', question);
	await page.keyboard.press('Control+Enter');
	await page.locator('#messages article').last().getByText(question.slice(0, 20)).first().waitFor();
	await page.getByRole('button', {name: 'Send'}).waitFor();
}

const textOf = async (found: Locator) => (await found.textContent()) ?? '';
const badge = (page: Page, status: string) => page.locator(`#messages [data-status=${status}]`);
const grid = (page: Page) => page.getByRole('grid', {name: 'Result table'});
const tab = (page: Page, name: string) => page.getByRole('tablist', {name: 'Result'}).getByRole('tab', {name}).click();
const cells = (page: Page, row: number) =>
	grid(page)
		.locator(`tr[aria-rowindex="${row + 1}"] td[role=gridcell]`)
		.allTextContents();

describe('the page', {skip, timeout: 300_000}, () => {
	before(async () => {
		assert.ok(CHROMIUM, 'Chromium is needed: apt-get install chromium');
		if (!existsSync(join(ROOT, 'web/dist/index.html'))) {
			const vite = join(ROOT, 'node_modules/vite/bin/vite.js');
			await promisify(execFile)(process.execPath, [vite, 'build', 'web', '--logLevel', 'warn'], {cwd: ROOT});
		}
		state.dir = freshData(scope);
		state.url = (await startWrit(scope)).url;
		const browser = await chromium.launch({executablePath: CHROMIUM, args: FLAGS});
		scope.after(() => browser.close());
		state.browser = browser;
	});
	after(async () => {
		for (const end of endings) await end();
	});

	test('it has the names, elements and storage that clients of the reference rely on', () =>
		visit({}, async ({page}) => {
			assert.equal(await page.title(), 'Writ');
			await page.locator('#prompts button').first().waitFor();
			for (const id of ['dataset', 'messages', 'prompts']) assert.equal(await page.locator(`#${id}`).count(), 1, id);
			const keys = await page.evaluate<string[]>('Object.keys(localStorage)');
			assert.ok(keys.includes('csvAnalystThreadId') && keys.includes('csvAnalystUserId'));
		}));

	test('every suggested question is offered, and a click fills the box without sending', () =>
		visit({}, async ({page, requests}) => {
			const {datasets} = (await (await fetch(`${state.url}/datasets`)).json()) as {datasets: {id: string; prompts: string[]}[]};
			assert.equal(datasets.length, 3);
			for (const {id, prompts} of datasets) {
				await page.selectOption('#dataset', id);
				assert.deepEqual(await page.locator('#prompts button').allTextContents(), prompts);
			}
			await page.locator('#prompts button').nth(1).click();
			assert.equal(await page.inputValue('#message'), datasets.at(-1)?.prompts[1]);
			assert.deepEqual(
				requests.filter((url) => url.includes('/chat')),
				[],
			);
		}));

	test('a SQL question shows its steps, a formatted table and its SQL', () =>
		visit({}, async ({page}) => {
			await ask(
				page,
				'ecommerce',
				"SQL: select 12345 as order_id, 2024 as year, 1234567 as orders, 1234.5 as revenue, 0.1234567891 as ratio, null as nothing, '9007199254740993'::bigint as big",
			);
			await page.getByTestId('steps-summary').locator('summary').click();
			assert.deepEqual(
				await page.locator('[data-stage]').evaluateAll((all) => all.map((step) => step.getAttribute('data-stage'))),
				['validating', 'executing'],
			);
			await grid(page).waitFor();
			assert.deepEqual(await cells(page, 1), [
				'12345',
				'2024',
				'1,234,567',
				'1,234.50',
				'0.123457',
				'null',
				'9,007,199,254,740,993',
			]);
			await tab(page, 'SQL');
			assert.match(await textOf(page.getByRole('tabpanel')), /select 12345 as order_id/i);
		}));

	test('a suggested question is answered with a table', () =>
		visit({}, async ({page}) => {
			await page.selectOption('#dataset', 'support');
			await page.locator('#prompts button').first().click();
			await page.getByRole('button', {name: 'Send'}).click();
			await badge(page, 'succeeded').waitFor({timeout: 30_000});
			await grid(page).waitFor();
			assert.ok((await grid(page).locator('td[role=gridcell]').count()) > 3);
			await tab(page, 'Plan');
			assert.match(await textOf(page.getByRole('tabpanel')), /tickets/);
		}));

	test('a large result is cut with its total, kept small in the document, and read by keyboard', () =>
		visit({}, async ({page}) => {
			await ask(page, 'support', 'SQL: select ticket_id, priority from tickets order by ticket_id');
			await page.getByText('The first 1,000 of 6,417 rows are shown.').waitFor();
			assert.ok((await grid(page).locator('tr').count()) < 80, 'only what is in view is in the document');
			await grid(page).focus();
			await page.keyboard.press('ArrowDown');
			await page.keyboard.press('Control+End');
			await grid(page).locator('tr[aria-rowindex="1001"]').waitFor();
			await page.keyboard.press('Control+Home');
			await page.keyboard.press('Shift+ArrowRight');
			await page.keyboard.press('Shift+ArrowDown');
			await page.keyboard.press('Control+c');
			await page.getByText('2 × 2 copied').waitFor();
			const copied = await page.evaluate<string>(CLIPBOARD);
			assert.match(copied, /^ticket_id\tpriority\n5001\t\w+\n5002\t\w+$/);
			await page.keyboard.press('Control+Home');
			await page.keyboard.press('ArrowUp');
			await page.keyboard.press('Enter');
			await page.keyboard.press('Enter');
			await grid(page).locator('th[aria-sort="descending"]').waitFor();
			assert.equal((await cells(page, 1))[0], '6000');
		}));

	test('a chart is drawn with its alternative text beside its rows and edited without running anything', () =>
		visit({}, async ({page, requests}) => {
			await ask(page, 'support', 'SQL: select priority, count(*) as tickets from tickets group by 1 order by 2 desc');
			await tab(page, 'Chart');
			await page.locator('[data-testid=chart] svg').waitFor();
			assert.equal(await page.getByRole('img', {name: /Bar chart of tickets by priority/}).count(), 1);
			assert.ok((await page.getByRole('grid', {name: 'Rows of the chart'}).locator('td[role=gridcell]').count()) === 8);
			const runs = requests.filter((url) => /\/(chat|runs)\b/.test(new URL(url).pathname)).length;
			const drawn = await page.locator('[data-testid=chart] svg').innerHTML();
			await page.getByLabel('Mark').selectOption('point');
			await eventually(
				'other drawing',
				async () => (await page.locator('[data-testid=chart] svg').innerHTML()) !== drawn || undefined,
			);

			await page.getByText('Edit as JSON').click();
			const box = page.getByLabel('Chart as JSON');
			const spec = JSON.parse(await box.inputValue()) as Record<string, unknown>;
			await box.fill(JSON.stringify({...spec, data: {url: 'http://192.0.2.1/x'}, encoding: {x: {field: 'nope'}}}));
			await page.getByRole('button', {name: 'Apply'}).click();
			const alert = await textOf(page.getByRole('alert'));
			assert.match(alert, /data is not part of a chart here/);
			assert.match(alert, /encoding\.x\.field must be a column of the result: priority, tickets/);
			await box.fill(JSON.stringify({...spec, mark: 'tick', title: 'Mine'}));
			await page.getByRole('button', {name: 'Apply'}).click();
			await page.locator('[data-testid=chart] svg').getByText('Mine').waitFor();
			assert.equal(requests.filter((url) => /\/(chat|runs)\b/.test(new URL(url).pathname)).length, runs);
		}));

	test('the audit says who did what from where, exports it, and says what to do only where filters hide it', () =>
		visit({}, async ({page}) => {
			await ask(page, 'support', 'SQL: select 40 + 3 as held_answer');
			await grid(page).waitFor();
			await page.goto(new URL('/audit', state.url).href);
			const rows = page.getByRole('region', {name: 'What was done'}).locator('tbody tr');
			await rows.filter({hasText: 'held_answer'}).filter({hasText: 'run.started'}).first().waitFor();
			await rows.filter({hasText: 'page 127.0.0.1'}).first().waitFor();
			await page.selectOption('select[aria-label=Client]', 'internal');
			await page.getByText('Try fewer filters.').waitFor();
			await page.getByRole('button', {name: 'Clear'}).click();
			await page.selectOption('select[aria-label=Type]', 'run.started');
			const [file] = await Promise.all([
				page.waitForEvent('download'),
				page.getByRole('button', {name: 'CSV', exact: true}).click(),
			]);
			const csv = await readFile(await file.path(), 'utf8');
			assert.ok(csv.includes('held_answer') && !csv.includes('action.outcome'));
		}));

	test('a run is held with a reason, seen in the audit, and released with another', () =>
		visit({}, async ({page}) => {
			await ask(page, 'support', 'SQL: select 40 + 4 as kept_answer');
			await grid(page).waitFor();
			await tab(page, 'Evidence');
			await page.getByRole('button', {name: 'Hold', exact: true}).click();
			await page.getByLabel('Reason').fill('case 2026-14');
			await page.getByRole('button', {name: 'Hold', exact: true}).click();
			await page.locator('[data-hold=held]').getByText('case 2026-14').waitFor();
			await page.goto(new URL('/audit', state.url).href);
			const keeping = page.getByRole('region', {name: 'Retention and holds'});
			await keeping.getByText('1 hold in force').waitFor();
			await page
				.getByRole('region', {name: 'What was done'})
				.locator('tbody tr')
				.filter({hasText: 'hold.placed'})
				.first()
				.waitFor();
			await keeping.getByRole('button', {name: 'Release'}).click();
			await keeping.getByLabel('Reason').fill('settled');
			await keeping.getByRole('button', {name: 'Release'}).click();
			await keeping.getByText('0 holds in force').waitFor();
		}));

	test('the evidence is a timeline that verifies, and the capsule is a file', () =>
		visit({}, async ({page}) => {
			await ask(page, 'support', 'SQL: select count(*) as n from tickets');
			await tab(page, 'Evidence');
			await page.getByText('action.decided').click();
			await page.getByRole('cell', {name: 'analyst-reads'}).waitFor();
			await page.getByText('process, kernel-shared').first().waitFor();
			await page.getByRole('button', {name: 'Verify'}).click();
			await page.locator('[data-verdict=valid]').waitFor();
			const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', {name: 'Capsule'}).click()]);
			const capsule = JSON.parse(await readFile(await download.path(), 'utf8')) as {format: string; events: unknown[]};
			assert.equal(capsule.format, 'writ-capsule/1');
			assert.ok(capsule.events.length >= 8);
		}));

	test('an exported file holds all rows and runs no formula', () =>
		visit({}, async ({page}) => {
			await ask(page, 'support', "SQL: select '=1+1' as formula, ticket_id from tickets order by ticket_id");
			await page.getByRole('button', {name: 'Export'}).click();
			const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', {name: 'CSV'}).click()]);
			const lines = (await readFile(await download.path(), 'utf8')).trim().split(/\r?\n/);
			assert.equal(lines.length, 6_418);
			assert.match(lines[1] ?? '', /^"?'=1\+1"?,5001$/);
			await page.getByRole('button', {name: /Export|Exporting/}).click();
			await page.getByRole('menuitem', {name: 'As TSV'}).click();
			await page.getByText('Copied').waitFor();
			assert.match(await page.evaluate<string>(CLIPBOARD), /^formula\tticket_id\n'=1\+1\t5001\n/);
		}));

	test('markup in file names, headers, cells, questions and answers stays text', () =>
		visit({}, async ({page}) => {
			const evil = '<img src=x onerror="globalThis.owned=1">';
			const file = join(state.dir, '<b>tale<b>.csv');
			await writeFile(file, `"${evil.replaceAll('"', '""')}",amount\n"<script>owned=1</script>",3\n"**bold** | x",4\n`);
			await page.getByRole('link', {name: 'Datasets'}).first().click();
			await page.setInputFiles('#files', file);
			await page.getByRole('button', {name: 'Ask about it'}).waitFor({timeout: 30_000});
			await page.getByText('<script>owned=1</script>').first().waitFor();
			const id = new URL(page.url()).pathname.split('/').at(-1) ?? '';
			await page.getByRole('button', {name: 'Ask about it'}).click();
			const {files} = (await (await fetch(`${state.url}/datasets/${id}/schema`)).json()) as {files: {name: string}[]};
			await ask(page, id, `SQL: select *, '${evil}' as "${evil.replaceAll('"', '""')}2" from "${files[0]?.name}" -- ${evil}`);
			await grid(page).waitFor();
			assert.equal((await cells(page, 1))[0], '<script>owned=1</script>');
			for (const name of ['Chart', 'SQL', 'Evidence']) await tab(page, name);
			await page.locator('summary').filter({hasText: 'run.started'}).click();
			await ask(page, id, `what about ${evil}?`);
			assert.equal(await page.locator('#root img, #root script, #root b').count(), 0);
			assert.equal(await page.evaluate(() => 'owned' in globalThis), false);
		}));

	test('a file that is not a table is refused with its reason', () =>
		visit({path: '/datasets', tolerate: /status of 4\d\d/}, async ({page}) => {
			const file = join(state.dir, 'photo.csv');
			await writeFile(file, Buffer.from('ffd8ffe000104a46494600010100000100010000ffdb004300', 'hex'));
			await page.setInputFiles('#files', file);
			const alert = page.getByRole('alert');
			await alert.waitFor({timeout: 30_000});
			assert.match(await textOf(alert), /photo\.csv|JPEG/i);
			await page.getByRole('button', {name: 'Upload'}).waitFor();
		}));

	test('a failed query says why and what to do, in the table’s place', () =>
		visit({}, async ({page}) => {
			await ask(page, 'support', 'SQL: select nope from tickets');
			await page.locator('[data-run] >> text=SQL_EXECUTION_ERROR').waitFor();
			await badge(page, 'failed').waitFor();
			await ask(page, 'support', 'SQL: drop table tickets');
			await badge(page, 'rejected').waitFor();
		}));

	test('a reload restores the conversation and its last result; a new one starts empty', () =>
		visit({}, async ({page}) => {
			await ask(page, 'support', 'SQL: select 41 + 1 as the_answer');
			await grid(page).waitFor();
			await page.reload();
			await page.locator('#messages article').getByText('SQL: select 41 + 1').waitFor();
			await grid(page).getByText('the_answer').waitFor();
			assert.deepEqual(await cells(page, 1), ['42']);
			await page.getByRole('button', {name: 'New conversation'}).first().click();
			assert.equal(await page.locator('#messages article').count(), 0);
			await page.getByRole('region', {name: 'Conversations'}).getByText('SQL: select 41 + 1').first().click();
			await grid(page).getByText('the_answer').waitFor();
		}));

	test('a slow query shows where it is, survives a reload, and stops when asked', () =>
		visit({}, async ({page}) => {
			await page.selectOption('#dataset', 'sensors');
			await page.fill('#message', slowQuestion());
			await page.getByRole('button', {name: 'Send'}).click();
			await page.locator('[data-stage=executing]').waitFor();
			await page.reload();
			await page.locator('[data-stage=executing]').waitFor();
			await page.getByRole('button', {name: 'Stop', exact: true}).click();
			await badge(page, 'cancelled').waitFor({timeout: 8_000});
			await page.getByRole('button', {name: 'Send'}).waitFor();
		}));

	test('a server that cannot be reached leaves an error that can be tried again, never a stuck badge', () =>
		visit({tolerate: /net::ERR/}, async ({page, context}) => {
			await page.selectOption('#dataset', 'support');
			await context.setOffline(true);
			await page.fill('#message', 'SQL: select 7 as seven');
			await page.keyboard.press('Control+Enter');
			await page.locator('#messages article').getByText('No connection').waitFor();
			await context.setOffline(false);
			await page.getByRole('button', {name: 'Try again'}).click();
			await badge(page, 'succeeded').waitFor();
			assert.equal(await page.locator('#messages article').count(), 1);
			assert.deepEqual(await cells(page, 1), ['7']);
		}));

	test('a connection lost in the middle of a turn is taken up again', () =>
		visit({}, async ({page, requests}) => {
			await page.selectOption('#dataset', 'support');
			// The reply breaks off after its first frame, as when a laptop changes its network.
			await page.route('**/chat/stream', async (route) => {
				const reply = await route.fetch();
				const [, first = ''] = (await reply.text()).split('\n\n');
				await route.fulfill({response: reply, body: `${first}\n\n`});
			});
			await page.fill('#message', 'SQL: select 8 as eight');
			await page.keyboard.press('Control+Enter');
			await badge(page, 'succeeded').waitFor();
			assert.deepEqual(await cells(page, 1), ['8']);
			assert.ok(requests.some((url) => /\/runs\/[^/]+\/stream$/.test(url)));
		}));

	test('runs are filtered, opened, run again and paged', () =>
		visit({path: '/runs'}, async ({page}) => {
			const list = page.getByRole('region', {name: 'List of runs'});
			await list.getByText('SQL: select nope from tickets').waitFor();
			await page.getByLabel('Status').selectOption('failed');
			await list.getByText('SQL: select 41 + 1').waitFor({state: 'detached'});
			assert.deepEqual(new Set(await list.locator('[data-status]').allTextContents()), new Set(['Failed']));
			await page.getByRole('button', {name: 'Clear'}).click();
			await page.getByLabel('Text in the question').fill('the_answer');
			await list.getByText('SQL: select nope').waitFor({state: 'detached'});
			await page.getByLabel('Dataset').selectOption('support');
			await page.getByLabel('Time').selectOption('hour');
			await list.getByText('SQL: select 41 + 1').first().click();
			await grid(page).getByText('the_answer').waitFor();
			const first = page.url();
			await page.getByRole('button', {name: 'Run again'}).click();
			await page.waitForURL((url) => url.href !== first);
			await grid(page).getByText('the_answer').waitFor();
		}));

	test('an approval is shown with what it is for, and answered in the conversation or on its own screen', async () => {
		const policy = join(state.dir, 'ask.cedar');
		await writeFile(
			policy,
			'@id("python-asks") @decision("ask") permit (principal, action == Action::"analyst.python", resource);',
		);
		const asking = await startWrit(scope, {env: {WRIT_POLICY_FILE: policy}});
		await visit({base: asking.url}, async ({page}) => {
			await ask(page, 'support', 'PYTHON: result = 3 * 3  # <b>nine</b>');
			await badge(page, 'awaiting_approval').waitFor();
			await page.locator('#messages').getByText('<b>nine</b>').last().waitFor();
			await page.reload();
			await page.locator('#messages').getByRole('button', {name: 'Grant'}).click();
			await badge(page, 'succeeded').waitFor();
			await grid(page).waitFor();
			assert.deepEqual(await cells(page, 1), ['9']);

			await ask(page, 'support', 'PYTHON: result = 4 * 4');
			await badge(page, 'awaiting_approval').waitFor();
			await page.getByRole('link', {name: /^Inbox/}).click();
			await page.getByLabel('Comment').fill('not today');
			await page.getByRole('button', {name: 'Reject'}).click();
			await page.getByText('Nothing waits for you').waitFor();
			await page.getByRole('link', {name: 'Ask', exact: true}).click();
			await badge(page, 'rejected').waitFor();
		});
	});

	test('tool calls show as steps, and of an answer only its little Markdown is drawn', () =>
		visit({}, async ({page}) => {
			const said =
				'**Nine** is `9`:\n\n| a | b |\n|---|--:|\n| <i>x</i> | [y](http://192.0.2.1) |\n\n- <img src=x onerror=alert(1)>';
			const frames = [
				['status', {stage: 'planning'}],
				['tool_call', {id: 'c1', name: 'analyst.sql', input: {sql: 'select 9 as <b>nine</b>'}}],
				['status', {stage: 'executing'}],
				['tool_result', {id: 'c1', name: 'analyst.sql', status: 'succeeded', output: {rows: [[9]]}}],
				['status', {stage: 'answering'}],
				['token', {content: 'Ni'}],
				['result', respond('succeeded', NINE, said)],
			] as const;
			await page.route('**/chat/stream', (route) => route.fulfill(stream(frames)));
			await ask(page, 'support', 'what is nine?');
			await page.getByTestId('steps-summary').locator('summary').first().click();
			await page.locator('summary').filter({hasText: 'analyst.sql'}).click();
			await page.getByText('select 9 as <b>nine</b>').waitFor();
			const answer = page.getByTestId('answer');
			assert.equal(await textOf(answer.locator('strong')), 'Nine');
			assert.equal(await textOf(answer.locator('code')), '9');
			assert.deepEqual(await answer.locator('td').allTextContents(), ['<i>x</i>', '[y](http://192.0.2.1)']);
			assert.equal(await textOf(answer.locator('li')), '<img src=x onerror=alert(1)>');
			assert.equal(await answer.locator('img, a, i').count(), 0);
		}));

	test('everything can be done with the keyboard alone', () =>
		visit({}, async ({page}) => {
			await page.locator('#dataset option').first().waitFor({state: 'attached'});
			await page.keyboard.press('Tab');
			assert.equal(await focusedText(page), 'Skip to content');
			await page.keyboard.press('Enter');
			const order = ['SELECT#dataset', 'BUTTON', 'DIV#messages'];
			for (const expected of order) {
				await page.keyboard.press('Tab');
				assert.ok((await focusedName(page)).startsWith(expected), `${await focusedName(page)} is not ${expected}`);
			}
			await tabTo(page, async () => (await focusedName(page)) === 'TEXTAREA#message');
			await page.keyboard.type('SQL: select 1 as one, 2 as two');
			await page.keyboard.press('Control+Enter');
			await grid(page).waitFor();
			await tabTo(page, async () => (await focusedText(page)) === 'Table');
			for (const name of ['Chart', 'Plan', 'SQL', 'Evidence']) {
				await page.keyboard.press('ArrowRight');
				await eventually(`focus on ${name}`, async () => (await focusedText(page)) === name || undefined);
			}
			await page.getByRole('button', {name: 'Verify'}).waitFor();
			await tabTo(page, async () => (await focusedText(page)) === 'Verify');
			await page.keyboard.press('Enter');
			await page.locator('[data-verdict=valid]').waitFor();
		}));

	for (const dark of [false, true]) {
		test(`every screen is accessible in the ${dark ? 'dark' : 'light'} theme`, () =>
			visit({dark}, async ({page}) => {
				await ask(page, 'support', 'SQL: select priority, count(*) as tickets, null as none from tickets group by 1');
				const ground = await page.evaluate<string>(GROUND);
				assert.equal(ground, dark ? 'rgb(15, 16, 18)' : 'rgb(255, 255, 255)');
				await audit(page, 'conversation');
				await tab(page, 'Chart');
				await page.locator('[data-testid=chart] svg').waitFor();
				await audit(page, 'chart');
				await tab(page, 'Evidence');
				await page.getByRole('button', {name: 'Verify'}).click();
				await page.locator('[data-verdict=valid]').waitFor();
				await page.locator('summary').filter({hasText: 'action.decided'}).click();
				await audit(page, 'evidence');
				for (const path of ['/datasets/support', '/runs', '/approvals', '/system', '/nowhere']) {
					await page.goto(new URL(path, state.url).href);
					await page.waitForLoadState('networkidle');
					await audit(page, path);
				}
			}));
	}

	test('a server with tokens asks for one and works with it', async () => {
		const guarded = await startWrit(scope, {env: {WRIT_AUTH_TOKENS: 'a-token-of-length=ann@acme'}});
		await visit({base: guarded.url, tolerate: /status of 401/}, async ({page}) => {
			const dialog = page.getByRole('dialog');
			await dialog.getByLabel('Token').fill('a-wrong-token-here');
			await page.keyboard.press('Enter');
			await dialog.getByLabel('Token').fill('a-token-of-length');
			await page.keyboard.press('Enter');
			await page.getByText('There are no datasets yet.').waitFor();
			await page.getByRole('link', {name: 'Add one'}).click();
			const file = join(state.dir, 'fruit.csv');
			await writeFile(file, 'fruit,kilos\napple,3\nplum,4\n');
			await page.setInputFiles('#files', file);
			await page.getByRole('button', {name: 'Ask about it'}).click({timeout: 30_000});
			await ask(page, 'fruit', 'SQL: select sum(kilos) as kilos from fruit');
			assert.deepEqual(await cells(page, 1), ['7']);
		});
	});

	test('a chosen theme wins over the system’s and stays', () =>
		visit({dark: true}, async ({page}) => {
			await page.getByRole('button', {name: /^Theme: system/}).click();
			await page.reload();
			const ground = await page.evaluate<string>(GROUND);
			assert.equal(ground, 'rgb(255, 255, 255)');
		}));

	test('at the width of a phone nothing scrolls sideways but tables', () =>
		visit({width: 390}, async ({page}) => {
			await ask(page, 'ecommerce', 'SQL: select * from orders limit 50');
			await grid(page).waitFor();
			await assertFits(page, 'conversation');
			assert.ok(await grid(page).evaluate((element) => element.scrollWidth > element.clientWidth));
			for (const name of ['Chart', 'Plan', 'SQL', 'Evidence']) {
				await tab(page, name);
				await assertFits(page, name);
			}
			for (const path of ['/datasets', '/datasets/ecommerce', '/runs', '/approvals', '/system']) {
				await page.goto(new URL(path, state.url).href);
				await page.waitForLoadState('networkidle');
				await assertFits(page, path);
			}
			await audit(page, 'phone');
			await page.getByRole('button', {name: 'Menu'}).click();
			await page.getByRole('dialog').getByRole('link', {name: 'Ask'}).click();
			await page.locator('#message').waitFor();
		}));

	test('the first load is small and brings no chart library', () =>
		visit({}, async ({page}) => {
			await page.waitForLoadState('networkidle');
			const scripts = await page.evaluate<{name: string; encodedBodySize: number}[]>(
				"performance.getEntriesByType('resource').filter(({name}) => name.endsWith('.js')).map((entry) => entry.toJSON())",
			);
			const bytes = scripts.reduce((sum, {encodedBodySize}) => sum + encodedBodySize, 0);
			assert.ok(scripts.length > 0 && bytes > 0);
			assert.ok(bytes < 180_000, `${bytes} bytes of script`);
			assert.ok(!scripts.some(({name}) => name.includes('/draw-')));
		}));
});

function slowQuestion(): string {
	return 'SQL: select count(*) from sensors a, sensors b, sensors c where a.temperature_c + b.temperature_c > c.humidity_pct';
}

const focusedName = (page: Page) =>
	page.evaluate<string>("document.activeElement.tagName + (document.activeElement.id ? '#' + document.activeElement.id : '')");
const focusedText = (page: Page) => page.evaluate<string>('document.activeElement.textContent.trim()');

async function tabTo(page: Page, arrived: () => Promise<boolean>): Promise<void> {
	for (let hops = 0; hops < 20; hops += 1) {
		if (await arrived()) return;
		await page.keyboard.press('Tab');
	}
	assert.fail('the focus never got there');
}

async function assertFits(page: Page, where: string): Promise<void> {
	const over = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
	assert.ok(over <= 0, `${where} is ${over}px too wide`);
}

/** Labels, roles, names and contrast, as WCAG 2.2 AA has them. */
async function audit(page: Page, where: string): Promise<void> {
	// The policy forbids injected script elements; the debugger is not a page.
	await page.evaluate(axe.source);
	const {violations, passes} = await page.evaluate<AxeResult>(`axe.run({runOnly: ${JSON.stringify(RULES)}})`);
	const found = violations.flatMap(({id, nodes}) => nodes.map(({html, failureSummary}) => `${id}: ${html} ${failureSummary}`));
	assert.ok(passes.length > 10, `${where}: hardly anything was examined`);
	assert.deepEqual(found, [], where);
}

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

type AxeResult = {
	readonly violations: readonly {readonly id: string; readonly nodes: readonly {html: string; failureSummary?: string}[]}[];
	readonly passes: readonly unknown[];
};

const EMPTY = {
	columns: [],
	column_types: [],
	rows: [],
	row_count: 0,
	total_rows: 0,
	truncated: null,
	exec_time_ms: 0,
	error: null,
};
const NINE = {...EMPTY, columns: ['nine'], column_types: ['integer'], rows: [[9]], row_count: 1, total_rows: 1};

/** A response by its contract, for what the server says only with a model. */
function respond(status: string, result: object, assistant_message: string) {
	const code = {plan_json: null, plan_sentence: null, compiled_sql: 'select 9 as nine', python_code: null};
	const details = {
		dataset_id: 'support',
		query_mode: 'sql',
		...code,
		chart: null,
		warnings: [],
		suggestions: [],
		approval_id: 'apr_1',
	};
	return {assistant_message, run_id: 'run_played', thread_id: 't', status, result, details};
}

function stream(frames: readonly (readonly [string, object])[]) {
	const all = [...frames, ['done', {run_id: 'run_played'}] as const];
	const body = all
		.map(([event, data], n) => `event: ${event}\nid: run_played:${n + 1}\ndata: ${JSON.stringify(data)}\n\n`)
		.join('');
	return {status: 200, headers: {'content-type': 'text/event-stream'}, body};
}
