import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import fc from 'fast-check';
import {spellings} from '#evidence/secrets.ts';
import {ownAddresses, whyNotPublic, whyRefused} from './addresses.ts';
import {createMask, maskText} from './mask.ts';
import {candidatesFor, decideRequest, injectionsFor, liesBelow} from './rules.ts';

describe('an address', () => {
	for (const [kind, addresses] of Object.entries({
		'unspecified address': ['0.0.0.0', '0.1.2.3'],
		'private address': ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
		'carrier-grade NAT address': ['100.64.0.1', '100.100.100.200', '100.127.255.255'],
		'loopback address': ['127.0.0.1', '127.255.255.255'],
		'link-local address': ['169.254.169.254', '169.254.170.2'],
		'metadata address': ['168.63.129.16'],
		'reserved address': ['192.0.0.192', '240.0.0.1', '255.255.255.255', '2001::1', '2001:20::1'],
		'documentation address': ['192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1'],
		'benchmarking address': ['198.18.0.1', '198.19.255.255'],
		'6to4 address': ['192.88.99.1', '2002:a00:1::', '2002:7f00:1::1'],
		'multicast address': ['224.0.0.1', '239.255.255.255'],
		'not a global address': [
			'::',
			'::1',
			'::ffff:10.0.0.1',
			'::ffff:8.8.8.8',
			'::10.0.0.1',
			'64:ff9b::808:808',
			'64:ff9b:1::1',
			'fe80::1',
			'fec0::1',
			'fc00::1',
			'fd00:ec2::254',
			'ff02::1',
			'100::1',
			'5f00::1',
			'4000::1',
		],
	}))
		test(`that is a ${kind} is refused`, () => {
			for (const address of addresses) assert.equal(whyNotPublic(address), kind, address);
		});

	test('that is public is dialled', () => {
		for (const address of [
			'8.8.8.8',
			'93.184.216.34',
			'100.63.255.255',
			'100.128.0.0',
			'172.15.0.1',
			'172.32.0.1',
			'2606:4700::1111',
			'2a00:1450::1',
		])
			assert.equal(whyNotPublic(address), undefined, address);
	});

	test('of this host is refused even where it is public', () => {
		const own = new Set(['93.184.216.34']);
		assert.deepEqual(whyRefused('a.test', ['93.184.216.34'], [], own), {
			address: '93.184.216.34',
			reason: "one of this host's own addresses",
		});
		assert.ok(ownAddresses().has('127.0.0.1'));
	});
});

describe('a path', () => {
	for (const [prefix, path, below] of [
		['/v1', '/v1', true],
		['/v1', '/v1?x=/../admin', true],
		['/v1', '/v1/x', true],
		['/v1/', '/v1/x', true],
		['/', '/anything', true],
		['/v1', '/v12', false],
		['/v1', '/', false],
		['/v1', '/V1', false],
		['/v1', '/v1/../admin', false],
		['/v1', '/v1/..', false],
		['/v1', '/v1/./x', false],
		['/v1', '/v1//x', false],
		['/v1', '/v1/..;/admin', false],
		['/v1', '/v1;x/y', false],
		['/v1', '/v1\\..\\admin', false],
		['/v1', '/v1/%2e%2e/admin', false],
		['/v1', '/v1/%2E%2E/admin', false],
		['/v1', '/v1/%2fadmin', false],
		['/v1', '/v1/%252e%252e/admin', false],
		['/v1', '/v1/%00', false],
		['/v1', '/v1/x%20y', true],
		['/v1', '/v1/...', true],
	] as const)
		test(`\`${path}\` ${below ? 'lies' : 'does not lie'} below \`${prefix}\``, () =>
			assert.equal(liesBelow(path, prefix), below));

	test('below a prefix is below it for a URL parser too', () => {
		const part = fc.constantFrom('v1', 'v2', '/', '..', '.', '%2e', '%2F', '\\', ';', '?', '%25', 'x', '//');
		fc.assert(
			fc.property(fc.array(part, {maxLength: 8}), (parts) => {
				const path = `/${parts.join('')}`;
				if (!liesBelow(path, '/v1')) return;
				assert.match(new URL(path, 'http://a.test').pathname, /^\/v1(?:\/|$)/);
				assert.match(new URL(decodeURIComponent(path.split('?')[0] ?? ''), 'http://a.test').pathname, /^\/v1(?:\/|$)/);
			}),
			{numRuns: 5_000},
		);
	});
});

test('a naive prefix lets out of the path what the rule keeps in', () => {
	const path = '/v1/%2e%2e/admin';
	assert.ok(path.startsWith('/v1/'));
	assert.equal(new URL(path, 'http://a.test').pathname, '/admin');
});

test('the first rule that takes a request decides, and what none takes is refused', () => {
	const rules = [
		{host: 'a.test', ports: [443], methods: ['GET'], paths: ['/v1']},
		{host: 'a.test', ports: [443], methods: ['POST']},
		{host: '*.test', ports: [443], inject: {header: 'X', secret: 's', prefix: ''}, paths: ['/v2']},
		{host: 'a.test', ports: [443], opaque: true},
	];
	const candidates = candidatesFor(rules, {host: 'a.test', port: 443});
	assert.ok(typeof candidates !== 'string');
	const decide = (method: string, path: string) => {
		const verdict = decideRequest(candidates, {method, path});
		return verdict.kind === 'allowed' ? verdict.candidate.index : verdict.reason;
	};
	assert.deepEqual(
		[decide('GET', '/v1/x'), decide('POST', '/'), decide('GET', '/v2'), decide('GET', '/'), decide('get', '/v1')],
		[0, 1, 2, 'no rule allows this path', 'no rule allows this path'],
	);
	assert.deepEqual(
		[
			candidatesFor(rules, {host: 'b.test', port: 80}),
			candidatesFor(rules, {host: 'evil', port: 443}),
			candidatesFor([], {host: 'a', port: 1}),
		],
		['no rule opens this port', 'no rule names this host', 'no rule names this host'],
	);
});

test('a request gets what its rule names and what is configured for its host, one for each header', () => {
	const own = {header: 'authorization', secret: 'own', prefix: ''};
	const configured = [
		{host: 'a.test', header: 'Authorization', prefix: 'Bearer ', secret: 'a'},
		{host: '*.test', header: 'X-Key', prefix: '', secret: 'all'},
		{host: 'b.test', header: 'X-Other', prefix: '', secret: 'b'},
	];
	const names = (host: string, inject?: typeof own) =>
		injectionsFor({index: 0, rule: {host: '*.test', ports: [443], ...(inject ? {inject} : {})}}, host, configured).map(
			({secret}) => secret,
		);
	assert.deepEqual(
		[names('a.test'), names('a.test', own), names('c.test'), names('evil')],
		[['a', 'all'], ['own', 'all'], ['all'], []],
	);
});

test('a mask hides every spelling of a secret however the stream is cut, and changes no length', async () => {
	const secret = 'sk+canary/0123';
	const secrets = spellings(secret).map((text) => Buffer.from(text));
	const text = fc.array(fc.constantFrom(...secrets.map(String), secret.slice(0, 7), 'sk', 'x', ' ', secret.slice(3)), {
		maxLength: 12,
	});
	await fc.assert(
		fc.asyncProperty(text, fc.array(fc.integer({min: 1, max: 9}), {minLength: 1}), async (pieces, sizes) => {
			const whole = Buffer.from(pieces.join(''));
			const mask = createMask(secrets);
			const out: Buffer[] = [];
			mask.on('data', (part: Buffer) => out.push(part));
			for (let at = 0, n = 0; at < whole.length; n++) {
				const size = sizes[n % sizes.length] ?? 1;
				mask.write(whole.subarray(at, at + size));
				at += size;
			}
			mask.end();
			await new Promise((resolve) => mask.on('end', resolve));
			const masked = Buffer.concat(out).toString();
			assert.equal(masked.length, whole.length);
			for (const each of secrets) assert.ok(!masked.includes(String(each)), masked);
			assert.equal(maskText(masked, secrets), masked);
		}),
	);
});
