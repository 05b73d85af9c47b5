/** The golden path, as `make first-run-check` runs it. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import path from 'node:path';
import {test} from 'node:test';
import {ROOT} from './server.ts';

test('on a fresh directory every step of the golden path passes', () => {
	const {status, stdout} = spawnSync(process.execPath, [path.join(ROOT, 'scripts/first-run-check.ts')], {encoding: 'utf8'});
	const lines = stdout.trim().split('\n');
	assert.deepEqual([status, lines.at(-1)], [0, 'first-run-check: all passed'], stdout);
	assert.ok(lines.filter((line) => line.startsWith('PASS ')).length >= 7, stdout);
});
