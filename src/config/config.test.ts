import assert from 'node:assert/strict';
import {mkdtempSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {WritError} from '#contract/errors.ts';
import {loadConfig, publicConfig} from './config.ts';
import {describeConfig} from './describe.ts';
import {listSettings} from './settings.ts';

function yaml(text: string): string {
	const file = join(mkdtempSync(join(tmpdir(), 'writ-config-')), 'writ.yaml');
	writeFileSync(file, text);
	return file;
}

function problemsOf(load: () => unknown): string {
	try {
		load();
	} catch (error) {
		assert.ok(error instanceof WritError);
		assert.equal(error.code, 'invalid_config');
		return error.message;
	}
	return 'no problem';
}

test('later sources win: default, file, environment, flag', () => {
	const file = yaml('server: {port: 1111, host: localhost}\nlimits: {maxRows: 5}');
	const {config, sources} = loadConfig({file, env: {WRIT_PORT: '2222', MAX_ROWS: '7'}, flags: {'limits.maxRows': '9'}});
	assert.deepEqual([config.server.host, config.server.port, config.limits.maxRows], ['localhost', 2222, 9]);
	const from = ['server.burst', 'server.host', 'server.port', 'limits.maxRows'].map((path) => sources.get(path));
	assert.deepEqual(from, ['default', 'file', 'environment', 'flag']);
});

for (const [title, load, message] of [
	[
		'an unknown key suggests the nearest name',
		() => loadConfig({file: yaml('server: {prot: 1}'), env: {}}),
		'writ.yaml: unknown setting `server.prot`; did you mean `server.port`?',
	],
	[
		'an unknown section suggests the nearest name',
		() => loadConfig({file: yaml('sever: {port: 1}'), env: {}}),
		'writ.yaml: unknown section `sever`; did you mean `server`?',
	],
	[
		'a value out of range names the variable it came from',
		() => loadConfig({file: null, env: {RUN_TIMEOUT_SECONDS: '0'}}),
		'RUN_TIMEOUT_SECONDS: Too small: expected number to be >=1 (in s)',
	],
	[
		'text where a number belongs is refused',
		() => loadConfig({file: null, env: {MAX_ROWS: 'many'}}),
		'MAX_ROWS: Invalid input: expected number, received string (in rows)',
	],
	[
		'a provider that does not exist names those that do',
		() => loadConfig({file: null, env: {SANDBOX_PROVIDER: 'chroot'}}),
		'SANDBOX_PROVIDER: Unsupported sandbox provider `chroot`; available: process, docker, wasm, microsandbox, kubernetes, or auto to choose',
	],
	[
		'PostgreSQL without its address is a contradiction',
		() => loadConfig({file: null, env: {STORAGE_PROVIDER: 'postgres'}}),
		'STORAGE_PROVIDER is postgres: set DATABASE_URL as well',
	],
	[
		'every problem is reported at once',
		() => loadConfig({file: yaml('x: 1\ny: 2'), env: {WRIT_PORT: '70000'}}),
		/x.*\n.*y.*\nWRIT_PORT/,
	],
] as const) {
	test(title, () => {
		const found = problemsOf(load);
		if (typeof message === 'string') assert.equal(found, message);
		else assert.match(found, message);
	});
}

test('an empty variable counts as not set', () => {
	assert.equal(loadConfig({file: null, env: {OPENAI_API_KEY: '', MAX_ROWS: ''}}).config.models.openaiApiKey, null);
});

test('a misspelt WRIT_ variable is noticed', () => {
	const {notices} = loadConfig({file: null, env: {WRIT_PROT: '1'}});
	assert.deepEqual(notices, ['the environment has WRIT_PROT, which is not a setting; did you mean `WRIT_PORT`?']);
});

test('tokens name a person and a tenant', () => {
	const env = {WRIT_AUTH_TOKENS: 'a-long-enough-token=ann@acme, another-long-token=bob@globex'};
	assert.deepEqual(loadConfig({file: null, env}).config.server.authTokens, [
		{token: 'a-long-enough-token', id: 'ann', tenant: 'acme'},
		{token: 'another-long-token', id: 'bob', tenant: 'globex'},
	]);
	assert.match(
		problemsOf(() => loadConfig({file: null, env: {WRIT_AUTH_TOKENS: 'short=ann@acme'}})),
		/at least 16 characters/,
	);
});

test('secrets and credentials in addresses are not in the public settings', () => {
	const env = {
		OPENAI_API_KEY: 'sk-secret-1',
		WRIT_AUTH_TOKENS: 'secret-token-0123456=a@b',
		OPENAI_BASE_URL: 'http://me:hush@host/v1',
	};
	const shown = JSON.stringify(publicConfig(loadConfig({file: null, env})));
	for (const secret of ['sk-secret-1', 'secret-token', 'hush']) assert.ok(!shown.includes(secret), secret);
	assert.ok(shown.includes('{"name":"models.openaiApiKey","value":"(set)","source":"environment"}'));
});

test('every setting has one environment name, a default in range and a line in the page', () => {
	const settings = listSettings();
	const page = describeConfig();
	assert.ok(settings.length > 40);
	assert.equal(new Set(settings.map(({env}) => env)).size, settings.length);
	for (const {path, env} of settings) assert.ok(page.includes(`| \`${path}\` | \`${env}\` |`), path);
});
