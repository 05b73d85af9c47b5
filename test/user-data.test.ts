/** Files as users have them, through the whole platform: each is handled, as a query of its snapshot shows, or refused with a reason. */
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {symlinkSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, suite, test} from 'node:test';
import {WritError} from '#contract/errors.ts';
import {HANDLED} from './fixtures/handled-files.ts';
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

test('after all that, the platform takes files in as before', async () => {
	const {tables} = await whole.add('afterwards', filesOf([{name: 'a.csv', content: 'a\n1\n'}]));
	assert.deepEqual(
		tables.map(({name, rows}) => [name, rows]),
		[['a', 1]],
	);
});
