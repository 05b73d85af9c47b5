/** Verifiers that others wrote accept what we export, and refuse what was changed. They are fetched where a registry answers. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {createPublicKey, hash} from 'node:crypto';
import {copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, type TestContext, test} from 'node:test';
import type {TestCase} from '#contract/sandbox.ts';
import {exportBundle} from '#evidence/bundle.ts';
import {finishedRun, sampleKey, testedBodies} from '#evidence/sample-run.ts';

const PYTHON = ['securesystemslib==1.6.0', 'in-toto-attestation==0.9.3', 'cryptography'];
const GO = [
	'golang.org/x/mod@v0.42.0',
	'github.com/transparency-dev/merkle@v0.0.2',
	'github.com/secure-systems-lab/go-securesystemslib@v0.11.1',
];
const FIXTURES = path.join(import.meta.dirname, 'fixtures/third-party');
const CASES: TestCase[] = [{file: 'a.test.ts', name: ['adds'], status: 'passed', durationMs: 1}];

const directory = mkdtempSync(path.join(tmpdir(), 'writ-third-party-'));
after(() => rmSync(directory, {recursive: true, force: true}));
const at = (name: string) => path.join(directory, name);
const key = sampleKey();
const spki = createPublicKey({key: Buffer.from(key.publicKey, 'base64'), format: 'der', type: 'spki'});
const {store} = await finishedRun(key, 'run_1', testedBodies(CASES));
for (const [name, bytes] of await exportBundle('run_1', {store, key})) {
	mkdirSync(path.dirname(at(`bundle/${name}`)), {recursive: true});
	writeFileSync(at(`bundle/${name}`), bytes);
}
writeFileSync(at('key.pem'), spki.export({type: 'spki', format: 'pem'}));

test('securesystemslib verifies every envelope and in-toto-attestation reads its statement', (t) => {
	const python = at('venv/bin/python');
	const fetched = run('python3', ['-m', 'venv', at('venv')]) ?? run(python, ['-m', 'pip', 'install', '--quiet', ...PYTHON]);
	if (fetched) return unavailable(t, 'the Python packages', fetched);
	const envelopes = globSync(at('bundle/statements/*.json')).sort();
	const read = (...files: string[]) => {
		const {stdout, stderr} = spawnSync(python, [path.join(FIXTURES, 'envelopes.py'), at('key.pem'), key.keyId, ...files]);
		return String(stdout).trim().split('\n').concat(String(stderr)).filter(Boolean);
	};
	assert.deepEqual(read(...envelopes), [
		'urn:writ:action-decision/v1',
		'urn:writ:action-decision/v1',
		'urn:writ:action-decision/v1',
		'urn:writ:bundle/v1',
		'https://in-toto.io/attestation/test-result/v0.1',
		'https://slsa.dev/verification_summary/v1',
	]);
	const envelope = JSON.parse(readFileSync(envelopes[0] ?? '', 'utf8'));
	const payload = Buffer.from(envelope.payload, 'base64').toString().replace('"ask"', '"allow"');
	writeFileSync(at('forged.json'), JSON.stringify({...envelope, payload: Buffer.from(payload).toString('base64')}));
	assert.deepEqual(read(at('forged.json')), ['refused']);
});

test('sumdb/note opens the checkpoint, transparency-dev/merkle its proofs, go-securesystemslib the envelopes', (t) => {
	mkdirSync(at('go'));
	copyFileSync(path.join(FIXTURES, 'checkpoint.go'), at('go/main.go'));
	const go = (...args: string[]) => run('go', args, at('go'));
	const fetched =
		go('mod', 'init', 'checkpoint') ?? go('get', ...GO) ?? go('mod', 'tidy') ?? go('build', '-o', at('checkpoint'), '.');
	if (fetched) return unavailable(t, 'the Go modules', fetched);
	const check = () => {
		const {status, stdout} = spawnSync(at('checkpoint'), [at('bundle'), verifierKey('writ/run/run_1'), key.keyId]);
		return [status, String(stdout).split(':')[0]?.trim()];
	};
	assert.deepEqual(check(), [0, '16 leaves, 4 proofs, 6 envelopes']);
	for (const file of ['log/checkpoint', 'log/proofs.json', 'log/tile/0/000.p/16', 'statements/test-0002.dsse.json']) {
		const bytes = readFileSync(at(`bundle/${file}`));
		const changed = Buffer.from(bytes);
		const place = file.includes('tile') ? 15 * 32 : 120;
		changed[place] = (changed[place] ?? 0) ^ 1;
		writeFileSync(at(`bundle/${file}`), changed);
		assert.deepEqual(check(), [1, 'refused'], file);
		writeFileSync(at(`bundle/${file}`), bytes);
	}
});

/** A key as sumdb/note writes it. */
function verifierKey(name: string): string {
	const raw = spki.export({type: 'spki', format: 'der'}).subarray(-32);
	const id = hash('sha256', Buffer.concat([Buffer.from(`${name}\n\u0001`), raw])).slice(0, 8);
	return `${name}+${id}+${Buffer.concat([Buffer.of(1), raw]).toString('base64')}`;
}

/** What went wrong; null when nothing did. */
function run(command: string, args: readonly string[], cwd = directory): string | null {
	const {status, stderr, error} = spawnSync(command, args, {cwd, timeout: 300_000});
	return status === 0 ? null : (error?.message ?? String(stderr).trim().split('\n').at(-1) ?? `${command} ended with ${status}`);
}

function unavailable(t: TestContext, what: string, reason: string): void {
	t.skip(`${what} cannot be had here: ${reason}`);
}
