import assert from 'node:assert/strict';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {loadConfig} from '#config/config.ts';
import {createPlatform, type Platform} from './platform.ts';

test('a policy file may call every tool by its name', async (t) => {
	const dir = await mkdtemp(path.join(tmpdir(), 'writ-platform-'));
	const plain = await platformIn(dir, {});
	const names = [...plain.kernel.tools.keys()];
	await plain.close();
	assert.equal(names.length > 0, true);

	const policyFile = path.join(dir, 'policy.cedar');
	await writeFile(policyFile, names.map((name) => `forbid (principal, action == Action::"${name}", resource);`).join('\n'));
	const governed = await platformIn(dir, {WRIT_POLICY_FILE: policyFile});
	t.after(async () => {
		await governed.close();
		await rm(dir, {recursive: true});
	});
	assert.deepEqual(governed.policy.problems, []);
});

function platformIn(dir: string, env: Readonly<Record<string, string>>): Promise<Platform> {
	return createPlatform({
		config: loadConfig({file: null, env: {WRIT_DATA_DIR: path.join(dir, 'data'), ...env}}).config,
		root: path.resolve(import.meta.dirname, '..'),
		software: 'writ test',
		report: () => {},
		answerer: () => () => assert.fail('nobody asks'),
	});
}
