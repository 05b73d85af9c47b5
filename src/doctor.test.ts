import assert from 'node:assert/strict';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {loadConfig} from '#config/config.ts';
import {doctorChecks} from './doctor.ts';
import {createPlatform} from './platform.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const KEYS = {OPENAI_API_KEY: 'key-of-one', ANTHROPIC_API_KEY: 'key-of-the-other'};
const GOVERNED = 'what it proposes is governed like everything else';

test('the doctor names the model that would be asked', async (t) => {
	const dir = await mkdtemp(path.join(tmpdir(), 'writ-doctor-'));
	const configOf = (env: Readonly<Record<string, string>>) =>
		loadConfig({file: null, env: {WRIT_DATA_DIR: dir, OPENAI_MODEL: 'one', ANTHROPIC_MODEL: 'other', ...env}}).config;
	const platform = await createPlatform({
		config: configOf({}),
		root: ROOT,
		software: 'writ test',
		report: () => {},
		answerer: () => () => assert.fail('nobody asks'),
	});
	t.after(async () => {
		await platform.close();
		await rm(dir, {recursive: true});
	});
	const found: unknown[] = [];
	for (const env of [{}, KEYS, {...KEYS, LLM_PROVIDER: 'anthropic'}, {...KEYS, LLM_PROVIDER: 'none'}]) {
		const checks = await doctorChecks(platform, configOf(env), ROOT);
		found.push(checks.find(({name}) => name === 'model')?.why);
	}
	assert.deepEqual(found, [
		'none: the built-in planner answers',
		`one (openai); ${GOVERNED}`,
		`other (anthropic); ${GOVERNED}`,
		'none: the built-in planner answers',
	]);
});
