import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
import {openSecretFile} from './secret-file.ts';
import {createKeyring} from './secret-key.ts';
import {openSecrets, type SecretsOptions, secretsIn} from './secrets.ts';

const VALUE = 'canary-7Xq2-value';
const AT = new Date('2026-01-02T03:04:05.000Z');

function place(t: TestContext) {
	const root = mkdtempSync(path.join(tmpdir(), 'writ-secrets-'));
	t.after(() => rmSync(root, {recursive: true, force: true}));
	const [directory, keyFile] = [path.join(root, 'secrets'), path.join(root, 'keys', 'secrets.key')];
	const open = (options: Partial<SecretsOptions> = {}) => {
		const secrets = openSecrets({directory, keyFile, passphrase: null, environment: {}, ...options});
		t.after(() => secrets.close());
		return secrets;
	};
	return {root, directory, keyFile, store: path.join(directory, 'store.json'), open};
}

test('a secret is kept encrypted, and found again by another process', async (t) => {
	const {open, store, keyFile, root} = place(t);
	await open().file.set('github-token', VALUE, AT);
	assert.equal(open().value('github-token'), VALUE);
	const all = readdirSync(root, {recursive: true, withFileTypes: true})
		.filter((entry) => entry.isFile())
		.map((entry) => readFileSync(path.join(entry.parentPath, entry.name), 'latin1'))
		.join('\n');
	for (const shown of [VALUE, Buffer.from(VALUE).toString('base64'), Buffer.from(VALUE).toString('hex')])
		assert.ok(!all.includes(shown));
	assert.deepEqual([statSync(store).mode & 0o777, statSync(keyFile).mode & 0o777], [0o600, 0o600]);
	assert.ok(!readFileSync(store, 'utf8').includes('github-token'), 'names are hidden too');
});

test('the list has names and times, never a value; a use is remembered across processes', async (t) => {
	const {open} = place(t);
	const secrets = open({environment: {OTHER_KEY: 'environment-value'}});
	await secrets.file.set('api', VALUE, AT);
	await secrets.file.set('api', `${VALUE}-2`, new Date('2026-02-02T00:00:00.000Z'));
	secrets.value('api');
	const [other, api] = open({environment: {OTHER_KEY: 'environment-value'}}).list();
	assert.deepEqual(other, {name: 'OTHER_KEY', source: 'environment', createdAt: null, changedAt: null, lastUsedAt: null});
	const {lastUsedAt, ...rest} = api ?? assert.fail();
	assert.deepEqual(rest, {
		...{name: 'api', source: 'file', createdAt: '2026-01-02T03:04:05.000Z'},
		changedAt: '2026-02-02T00:00:00.000Z',
	});
	assert.match(lastUsedAt ?? '', /^\d{4}-/);
});

test('the environment comes before the file, by whichever spelling of the name', async (t) => {
	const {open} = place(t);
	const environment = secretsIn({WRIT_SECRET_GITHUB_TOKEN: 'of-the-environment', WRIT_HOST: 'x', WRIT_SECRET_EMPTY: ''});
	assert.deepEqual(environment, {GITHUB_TOKEN: 'of-the-environment'});
	const secrets = open({environment});
	await secrets.file.set('github-token', VALUE, AT);
	assert.deepEqual(
		['github-token', 'github.token', 'GITHUB_TOKEN', 'EMPTY'].map((name) => secrets.value(name)),
		['of-the-environment', 'of-the-environment', 'of-the-environment', undefined],
	);
});

test('a setting is itself or the secret it refers to; one that is not there is an error with a remedy', async (t) => {
	const secrets = place(t).open();
	await secrets.file.set('api', VALUE, AT);
	assert.deepEqual([secrets.resolve('plain'), secrets.resolve(null), secrets.resolve('secret:api')], ['plain', null, VALUE]);
	assert.throws(() => secrets.resolve('secret:nothing'), {code: 'invalid_config', hint: /writ secrets set nothing/});
});

test('what is set while a server runs is found by it, and every value it ever had stays known', async (t) => {
	const {open} = place(t);
	const [server, terminal] = [open({environment: {OTHER: 'environment-value'}}), open()];
	assert.deepEqual(server.values(), ['environment-value']);
	await terminal.file.set('api', VALUE, AT);
	assert.equal(server.value('api'), VALUE);
	await terminal.file.set('api', 'the-second-value', AT);
	assert.equal(server.value('api'), 'the-second-value');
	await terminal.file.delete('api');
	assert.equal(server.value('api'), undefined);
	assert.deepEqual(server.values(), ['environment-value', VALUE, 'the-second-value']);
	assert.equal(server.values(), server.values());
});

for (const [name, damage] of [
	['a bit of a value', (text: string) => flip(text, /"data":"(.)/)],
	['a bit of the tag', (text: string) => flip(text, /"tag":"(.)/)],
	['the head', (text: string) => text.replace('"kind":"file"', '"kind":"file" ').replace('"v":1', '"v":2')],
	['a key that nobody knows', (text: string) => `${text.slice(0, -2)},"more":1}`],
	['its end', (text: string) => text.slice(0, 80)],
	['everything', () => ''],
] as const)
	test(`a file in which ${name} was changed is refused`, async (t) => {
		const {open, store} = place(t);
		await open().file.set('api', VALUE, AT);
		const whole = readFileSync(store, 'utf8');
		open();
		writeFileSync(store, damage(whole));
		assert.throws(() => open(), {code: 'secrets_unreadable', message: /were changed or damaged/});
		writeFileSync(store, whole);
		assert.equal(open().value('api'), VALUE);
	});

test('another key, no key and a key that others can read are told apart', async (t) => {
	const {open, keyFile} = place(t);
	await open().file.set('api', VALUE, AT);
	const key = readFileSync(keyFile);
	chmodSync(keyFile, 0o644);
	assert.throws(() => open(), {code: 'invalid_config', message: /can be read by other users/});
	chmodSync(keyFile, 0o600);
	writeFileSync(keyFile, `${Buffer.alloc(32, 1).toString('base64')}\n`);
	assert.throws(() => open(), {code: 'secrets_unreadable', message: /with another key than that in/});
	rmSync(keyFile);
	assert.throws(() => open(), {code: 'secrets_unreadable', message: /with a key that is not in/});
	writeFileSync(keyFile, 'no key\n', {mode: 0o600});
	assert.throws(() => open(), {code: 'secrets_unreadable', message: /holds no key/});
	writeFileSync(keyFile, key);
	assert.equal(open().value('api'), VALUE);
});

test('a passphrase is a key: the right one opens, another or none does not, a short one is refused', async (t) => {
	const {open, keyFile} = place(t);
	const passphrase = 'correct horse battery';
	await open({passphrase}).file.set('api', VALUE, AT);
	assert.ok(!existsSync(keyFile));
	assert.equal(open({passphrase}).value('api'), VALUE);
	assert.throws(() => open({passphrase: 'wrong horse battery'}), {code: 'secrets_unreadable', message: /another passphrase/});
	assert.throws(() => open(), {code: 'secrets_unreadable', message: /a passphrase, and none is set/});
	assert.throws(() => open({passphrase: 'short'}), {code: 'invalid_config'});
});

test('after a rotation the old key opens nothing and the new one opens all', async (t) => {
	const {open, keyFile, store} = place(t);
	const secrets = open();
	await secrets.file.set('api', VALUE, AT);
	const [oldKey, oldStore] = [readFileSync(keyFile), readFileSync(store)];
	await secrets.file.rotateKey(null);
	assert.equal(readFileSync(keyFile, 'utf8').split('\n').length, 2, 'the old key is gone');
	assert.notDeepEqual(readFileSync(keyFile), oldKey);
	assert.equal(open().value('api'), VALUE);
	writeFileSync(store, oldStore);
	assert.throws(() => open(), {code: 'secrets_unreadable'});
	writeFileSync(keyFile, oldKey);
	assert.equal(open().value('api'), VALUE, 'what it opened before it opens still');
});

test('a rotation changes the passphrase, and leads from a key file to one', async (t) => {
	const {open} = place(t);
	await open().file.set('api', VALUE, AT);
	const [first, second] = ['first passphrase', 'second passphrase'];
	await open({passphrase: first}).file.rotateKey(first);
	assert.throws(() => open(), {code: 'secrets_unreadable'});
	await open({passphrase: first}).file.rotateKey(second);
	assert.throws(() => open({passphrase: first}), {code: 'secrets_unreadable'});
	assert.equal(open({passphrase: second}).value('api'), VALUE);
});

test('a rotation that stopped between its steps left a file that can be read', async (t) => {
	const {open, keyFile, store} = place(t);
	await open().file.set('api', VALUE, AT);
	const before = readFileSync(store);
	const keyring = createKeyring(keyFile, null);
	openSecretFile(store, keyring).read();
	keyring.renew(null); // the new key is on disk, and nothing is encrypted with it
	assert.equal(open().value('api'), VALUE);
	await open().file.set('more', VALUE, AT);
	assert.equal(open().value('api'), VALUE, 'and now all of it is');
	writeFileSync(store, before);
	assert.equal(open().value('api'), VALUE, 'until the old key is forgotten');
});

test('secrets that several processes set at once are all there', async (t) => {
	const {open, directory, keyFile} = place(t);
	await open().file.set('first', VALUE, AT);
	const program = (name: string) => `
		const {openSecretFile} = await import(${JSON.stringify(path.join(import.meta.dirname, 'secret-file.ts'))});
		const {createKeyring} = await import(${JSON.stringify(path.join(import.meta.dirname, 'secret-key.ts'))});
		const file = openSecretFile(${JSON.stringify(path.join(directory, 'store.json'))}, createKeyring(${JSON.stringify(keyFile)}, null));
		for (let i = 0; i < 10; i++) await file.set('${name}' + i, 'value-of-${name}-' + i, new Date());`;
	const {spawn} = await import('node:child_process');
	const ends = ['a', 'b', 'c'].map((name) => {
		const child = spawn(process.execPath, ['--input-type=module', '--no-warnings', '-e', program(name)], {stdio: 'inherit'});
		return new Promise((resolve) => child.once('exit', resolve));
	});
	assert.deepEqual(await Promise.all(ends), [0, 0, 0]);
	assert.equal(open().list().length, 31);
});

test('a lock whose holder died holds nobody up', async (t) => {
	const {open, store} = place(t);
	open();
	const dead = spawnSync(process.execPath, ['-p', 'process.pid']).stdout.toString().trim();
	writeFileSync(`${store}.lock`, dead);
	await open().file.set('api', VALUE, AT);
	assert.equal(open().value('api'), VALUE);
});

for (const [name, value] of [
	['no letter first', ['1api', VALUE]],
	['a slash', ['a/b', VALUE]],
	['a name of JavaScript', ['__proto__', VALUE]],
	['a value of seven bytes', ['api', '1234567']],
	['half a character', ['api', `${VALUE}\ud83d`]],
] as const)
	test(`a secret with ${name} is refused`, async (t) => {
		await assert.rejects(async () => place(t).open().file.set(value[0], value[1], AT), {code: 'invalid_request'});
	});

test('a name that every object has is no secret until it is set', async (t) => {
	const secrets = place(t).open();
	assert.equal(secrets.value('constructor'), undefined);
	await secrets.file.set('constructor', VALUE, AT);
	assert.equal(secrets.value('constructor'), VALUE);
	await assert.rejects(secrets.file.delete('toString'), {code: 'not_found'});
});

function flip(text: string, pattern: RegExp): string {
	return text.replace(pattern, (all, letter: string) => `${all.slice(0, -1)}${letter === 'A' ? 'B' : 'A'}`);
}
