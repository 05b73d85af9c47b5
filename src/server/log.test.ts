import assert from 'node:assert/strict';
import {test} from 'node:test';
import {createRedactor} from '#evidence/redact.ts';
import {createLog} from './log.ts';

test('what is logged passes the redactor, messages and stacks of errors included', () => {
	const lines: string[] = [];
	const destination = {write: (line: string) => void lines.push(line)};
	const log = createLog({level: 'info', redact: createRedactor(['hush-hush-0123456789']), destination});
	log.info('request', {url: '/x?key=hush-hush-0123456789', nested: {token: 'hush-hush-0123456789'}});
	log.error('bug', {error: new Error('it said hush-hush-0123456789', {cause: new Error('hush-hush-0123456789')})});
	log.debug('unseen');
	assert.equal(lines.length, 2);
	assert.ok(!lines.join('').includes('hush-hush'));
	const entry = JSON.parse(lines[1] ?? '') as {level: string; msg: string; error: {stack: string}};
	assert.deepEqual([entry.level, entry.msg], ['error', 'bug']);
	assert.match(entry.error.stack, /log\.test\.ts/);
});
