/** Files as users have them, through the whole platform: each is handled, as a query of its snapshot shows, or refused with a reason. */
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {symlinkSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, suite, test} from 'node:test';
import {WritError} from '#contract/errors.ts';
import {HANDLED} from './fixtures/handled-files.ts';
import {damaged, parquet} from './fixtures/make-files.ts';
import {REFUSED} from './fixtures/refused-files.ts';
import {OWNER, wholePlatform} from './platform.ts';

const whole = await wholePlatform({after});

/** Writes files under plain names; what they are called is what their owner calls them. */
function filesOf(contents: readonly {readonly name: string; readonly content: string | Buffer}[]) {
	return contents.map(({name, content}, index) => {
		const file = path.join(whole.directory, `${index}-${contents.length}`);
		writeFileSync(file, content);
		return {name, path: file};
	});
}

suite('a file is handled', async () => {
	const {tables} = await whole.add('files', filesOf(HANDLED));

	test('every file of the list became a table', () => {
		assert.deepEqual(
			tables.map(({source}) => source.name),
			HANDLED.map(({name}) => name),
		);
	});

	for (const [index, {title, sql = 'SELECT * FROM t', types, rows, notices = []}] of HANDLED.entries())
		test(title, async () => {
			const table = tables[index];
			assert.ok(table);
			const result = await whole.run('files', 'sql', sql.replace(/\bt\b/g, table.name));
			const columns = table.columns.map(({name, engineType}) => `${name} ${engineType}`);
			const found = {error: result.error, types: columns.slice(0, 20), rows: result.rows, notices: table.notices};
			assert.deepEqual(found, {error: null, types, rows, notices});
		});
});

suite('a file is refused', () => {
	for (const {title, name = 'data.csv', content, message, hint} of REFUSED)
		test(title, async () => {
			const error = await refusal(filesOf([{name, content}]));
			assert.deepEqual(
				{code: error.code, message: error.message, hint: error.hint},
				{code: 'unreadable_file', message: message.startsWith('reading') ? message : `\`${name}\` ${message}`, hint},
			);
		});
});

async function refusal(files: Parameters<typeof whole.add>[1], principal = OWNER): Promise<WritError> {
	const id = `refused_${randomUUID().replaceAll('-', '')}`;
	try {
		await whole.add(id, files, principal);
	} catch (error) {
		await assert.rejects(whole.platform.datasets.get('local', id), {code: 'not_found'});
		if (error instanceof WritError) return error;
		throw error;
	}
	throw new Error('the file was taken in');
}

suite('a path is refused', () => {
	const place = (name: string) => path.join(whole.directory, name);
	const PATHS: readonly (readonly [title: string, make: () => string, code: string, message: RegExp])[] = [
		[
			'a symbolic link',
			() => linked(place('link.csv'), '/etc/passwd'),
			'unreadable_file',
			/is a symbolic link: give the path of the file itself/,
		],
		[
			'a link in the middle of a path',
			() => path.join(linked(place('etc'), '/etc'), 'passwd'),
			'forbidden',
			/belongs to the system/,
		],
		['a pipe', () => pipe(place('pipe.csv')), 'unreadable_file', /is not a regular file/],
		['a directory', () => whole.directory, 'unreadable_file', /is a directory/],
		['a device', () => '/dev/zero', 'forbidden', /belongs to the system/],
		['/etc/shadow', () => '/etc/shadow', 'forbidden', /belongs to the system/],
		['/proc/self/environ', () => '/proc/self/environ', 'forbidden', /belongs to the system/],
		['a path through ..', () => `${whole.directory}/../x.csv`, 'invalid_request', /without `\.\.`/],
		['a file that is not there', () => place('none.csv'), 'unreadable_file', /is not there/],
	];
	for (const [title, make, code, message] of PATHS)
		test(title, async () => {
			const error = await refusal([{name: 'data.csv', path: make()}]);
			assert.equal(error.code, code);
			assert.match(error.message, message);
		});
});

function linked(from: string, to: string): string {
	symlinkSync(to, from);
	return from;
}

function pipe(at: string): string {
	execFileSync('mkfifo', [at]);
	return at;
}

test('S26: Parquet with bytes changed anywhere is taken in or refused, and nothing else happens', async () => {
	const sound = await parquet(
		"SELECT range AS a, 'text ' || (range % 50) AS b, {'x': [range, NULL], 'y': MAP {'k': range}} AS s FROM range(5000)",
		', ROW_GROUP_SIZE 2048',
	);
	const ends: Record<string, number> = {taken: 0, refused: 0};
	for (let seed = 1; seed <= 16; seed++) {
		const place = (index: number) => (seed * 2_654_435_761 + index * 40_503 * seed) % (seed % 2 === 0 ? 900 : sound.length);
		// Even seeds hit the footer, where the sizes and offsets are.
		const changes = Array.from({length: 1 + (seed % 5)}, (_, index): [number, number] => {
			const at = place(index);
			return [seed % 2 === 0 ? -9 - at : at, (seed * 31 + index * 7) % 256];
		});
		try {
			await whole.add(`crafted_${seed}`, filesOf([{name: 'crafted.parquet', content: damaged(sound, changes)}]));
			ends.taken = (ends.taken ?? 0) + 1;
		} catch (error) {
			assert.ok(error instanceof WritError);
			assert.match(
				error.code,
				/^(unreadable_file|runner_resource_exceeded)$/,
				`seed ${seed}: ${error.message} ${JSON.stringify(error.details)}`,
			);
			ends.refused = (ends.refused ?? 0) + 1;
		}
	}
	assert.ok((ends.refused ?? 0) > 0, JSON.stringify(ends));
});

test('after all that, the platform takes files in as before', async () => {
	const {tables} = await whole.add('afterwards', filesOf([{name: 'a.csv', content: 'a\n1\n'}]));
	assert.deepEqual(
		tables.map(({name, rows}) => [name, rows]),
		[['a', 1]],
	);
});

const PLAIN = {
	orders: 'order_id,region,amount,ordered_at\n1,north,2.5,2024-01-03\n2,south,4,2024-02-05\n3,north,1,2024-05-09\n',
	'odd names': 'Größe (cm);Art;Count;x\n1,5;a;3;\n2,5;b;4;\n3,5;a;5;\n',
	words: 'word\nthe\nof\n',
	'2024 weather!': 'Date,max temp,wind speed\n2024-01-01,3,10\n2024-01-02,5,20\n2024-01-03,4,15\n',
};

suite('a dataset comes with questions to begin with', () => {
	for (const [title, content] of Object.entries(PLAIN))
		test(`${title}: each is answered with rows by the planner`, async () => {
			const {id, prompts} = await whole.add(`q_${title.replaceAll(/\W/g, '_')}`, filesOf([{name: `${title}.csv`, content}]));
			assert.ok(prompts.length > 0 && prompts.length <= 4, prompts.join(' '));
			for (const message of prompts) {
				const caller = {principal: OWNER, requestId: '', signal: new AbortController().signal};
				const {status, result} = await whole.platform.analyst.chat({dataset_id: id, message}, caller);
				assert.deepEqual([status, result.row_count > 0], ['succeeded', true], message);
			}
		});
});
