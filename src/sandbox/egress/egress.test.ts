import assert from 'node:assert/strict';
import {readdirSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {describe, test} from 'node:test';
import type {EgressRule} from '#contract/sandbox.ts';
import {createEgress} from './egress.ts';
import {get, send, startInternet} from './fixtures/internet.ts';

const secrets = (name: string, host: string) => {
	if (host !== 'a.test') return undefined;
	return {key: 'sk-canary-0123', short: 'short', broken: 'line\nbreak--'}[name];
};
const egress = createEgress({directory: tmpdir(), secrets});
const rule = (overrides: Partial<EgressRule>): EgressRule => ({host: 'a.test', ports: [443], ...overrides});
const inject = (secret: string, header = 'X-Key') => ({header, secret, prefix: ''});

describe('a rule', () => {
	for (const [title, broken, message] of [
		['that names no canonical host', {host: 'A.test'}, '`A.test` is not a host that a rule can name'],
		['that names everything', {host: '*'}, '`*` is not a host that a rule can name'],
		['that names a top-level domain', {host: '*.test'}, '`*.test` is not a host that a rule can name'],
		[
			'that is opaque and looks at paths',
			{opaque: true, paths: ['/']},
			'the rule for `a.test` is opaque, so that neither method nor path nor header can be seen',
		],
		['with an unknown secret', {inject: inject('nothing')}, 'there is no secret `nothing` for `a.test`'],
		[
			'that sends a secret to a host it is not for',
			{host: 'b.test', inject: inject('key')},
			'there is no secret `key` for `b.test`',
		],
		['with a secret too short to hide', {inject: inject('short')}, 'the secret `short` cannot be sent in a header'],
		['with a secret that breaks a line', {inject: inject('broken')}, 'the secret `broken` cannot be sent in a header'],
		[
			'that injects a header of the framing',
			{inject: inject('key', 'Transfer-Encoding')},
			'`Transfer-Encoding` is not a header to inject',
		],
		['that injects what is no header', {inject: inject('key', 'a: b')}, '`a: b` is not a header to inject'],
	] as const)
		test(`${title} is refused`, () =>
			assert.rejects(egress.open({allow: [rule(broken as Partial<EgressRule>)], maxBytes: 1}), {
				code: 'validation_error',
				message,
			}));

	test('is needed: an empty list is no open one', () =>
		assert.rejects(egress.open({allow: [], maxBytes: 1}), {code: 'validation_error', message: 'no destination is named'}));
});

test('an exception names one host and a network', () => {
	for (const exception of [
		{host: 'a.test', cidr: 'x'},
		{host: 'a.test', cidr: '10.0.0.0/99'},
		{host: '*.a.test', cidr: '10.0.0.0/8'},
	])
		assert.throws(() => createEgress({directory: tmpdir(), secrets, exceptions: [exception]}), {code: 'invalid_config'});
});

test('a proxy that cannot be started leaves nothing behind', async () => {
	const directory = `${tmpdir()}/${'x'.repeat(120)}`;
	await assert.rejects(createEgress({directory, secrets}).open({allow: [rule({})], maxBytes: 1}), {code: 'ENOENT'});
	assert.deepEqual(
		readdirSync(tmpdir()).filter((name) => name.startsWith('x'.repeat(20))),
		[],
	);
});

test('decisions beyond the first five hundred are counted', async () => {
	const net = await startInternet();
	const way = await net.open([{host: 'allowed.test'}]);
	const many = get('http://evil.test/').replace('Connection: close\r\n', '');
	for (let sent = 0; sent < 60; sent++) await Promise.all(Array.from({length: 9}, () => send(way, many)));
	const {decisions, more} = await way.close();
	await net.close();
	assert.deepEqual([decisions.length, more], [500, 40]);
});

test('two runs do not see each other: each has its own rules', async () => {
	const net = await startInternet();
	const port = await net.http();
	const [one, other] = await Promise.all([
		net.open([{host: 'allowed.test', ports: [port]}]),
		net.open([{host: 'www.allowed.test', ports: [port]}]),
	]);
	const statuses = await Promise.all([one, other].map((way) => send(way, get(`http://allowed.test:${port}/`))));
	assert.deepEqual(
		statuses.map((answer) => answer.slice(9, 12)),
		['200', '403'],
	);
	await net.close();
});
