/** What docs/policy.md shows, done: its files are written, its commands run, and what they print is compared. */
import assert from 'node:assert/strict';
import {readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import {freshData, ROOT, runWrit} from './server.ts';

const page = readFileSync(path.join(ROOT, 'docs/policy.md'), 'utf8');
const files = [...page.matchAll(/```yaml (\S+)\n([\s\S]*?)```/g)].map(([, name = '', text = '']) => ({name, text}));
const commands = [...page.matchAll(/```console\n\$ writ (.*)\n([\s\S]*?)```/g)].map(([, line = '', printed = '']) => ({
	line,
	printed,
}));

test('the page shows files and commands', () => {
	assert.ok(files.length >= 4 && commands.length >= 4, `${files.length} files, ${commands.length} commands`);
});

for (const {line, printed} of commands) {
	test(`\`writ ${line}\` prints what docs/policy.md says`, async (t) => {
		const cwd = freshData(t);
		for (const {name, text} of files) writeFileSync(path.join(cwd, name), text);
		const {out, err} = await runWrit(line.split(' '), {cwd});
		assert.equal(out.replace(/\b[0-9a-f]{64}\b|\b\d+(?= questions)/g, '…') + err, printed);
	});
}
