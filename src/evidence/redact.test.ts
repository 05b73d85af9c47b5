import assert from 'node:assert/strict';
import {test} from 'node:test';
import fc from 'fast-check';
import {canonical} from './canonical.ts';
import {createRedactor} from './redact.ts';

const CONFIGURED = 'kJ8/x+Y ü"7&z';
const redactor = createRedactor([CONFIGURED, 'abc']);
const redact = (value: unknown) => redactor(value).value;

const run = (alphabet: string, length: number) => alphabet.repeat(Math.ceil(length / alphabet.length)).slice(0, length);
const MIXED = 'aB3dE6gH9jK2mN5pQ8';
const PEM = `-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n${run(MIXED, 64)}\n${run(MIXED, 20)}==\n-----END RSA PRIVATE KEY-----`;
const JWT = `eyJ${run(MIXED, 20)}.eyJ${run(MIXED, 40)}.${run(MIXED, 43)}`;
const base64 = (text: string) => Buffer.from(text).toString('base64');

for (const [name, text, expected] of [
	['an OpenAI key', `key sk-${run(MIXED, 48)}.`, 'key [redacted:openai-key].'],
	['an OpenAI project key', `sk-proj-${run(MIXED, 60)}_${run(MIXED, 60)}`, '[redacted:openai-key]'],
	['an Anthropic key', `x=sk-ant-api03-${run(MIXED, 90)}`, 'x=[redacted:anthropic-key]'],
	['an AWS key id', 'AKIAIOSFODNN7EXAMPLE', '[redacted:aws-key]'],
	['an AWS key with its secret', `AKIAIOSFODNN7EXAMPLE, ${run(MIXED, 39)}/`, '[redacted:aws-key]'],
	['an AWS secret by its name', `aws_secret_access_key = "${run(MIXED, 39)}/"`, 'aws_secret_access_key = "[redacted:aws-key]"'],
	['a GitHub token', `ghp_${run(MIXED, 36)}`, '[redacted:github-token]'],
	['a fine-grained GitHub token', `github_pat_${run(MIXED, 22)}_${run(MIXED, 59)}`, '[redacted:github-token]'],
	['a Slack token', 'xoxb-123456789012-abcdefABCDEF', '[redacted:slack-token]'],
	['a Google key', `AIza${run(MIXED, 35)}`, '[redacted:google-key]'],
	['a Stripe key', `sk_live_${run(MIXED, 24)}`, '[redacted:stripe-key]'],
	['a private key', `before\n${PEM}\nafter`, 'before\n[redacted:private-key]\nafter'],
	['a private key inside JSON text', JSON.stringify({key: PEM}), '{"key":"[redacted:private-key]"}'],
	['a private key that was cut off', PEM.slice(0, 120), '[redacted:private-key]'],
	['a JWT', `id ${JWT}, next`, 'id [redacted:jwt], next'],
	['a bearer token', `Bearer ${JWT}`, 'Bearer [redacted:bearer-token]'],
	['an Authorization header', 'authorization: token s3cr3t', 'authorization: token [redacted:authorization]'],
	['basic credentials', `Basic ${base64('ada:lovelace')}`, 'Basic [redacted:basic-credentials]'],
	['a password in a URL', 'postgres://ada:p@ss:w0rd!@db:5432/x?a=b', 'postgres://ada:[redacted:url-password]@db:5432/x?a=b'],
	[
		'a token as the user of a URL',
		`https://ghp_${run(MIXED, 36)}:x@h/`,
		'https://[redacted:github-token]:[redacted:url-password]@h/',
	],
	['a kubeadm token', 'kubeadm join --token abcdef.0123456789abcdef', 'kubeadm join --token [redacted:kubernetes-token]'],
	['an OpenShift token', `sha256~${run(MIXED, 43)}`, '[redacted:kubernetes-token]'],
	['the token of a kubeconfig', `  token: ${run(MIXED, 40)}\n`, '  token: [redacted:kubernetes-token]\n'],
	['the key of a kubeconfig', `client-key-data: ${base64(PEM)}`, 'client-key-data: [redacted:kubernetes-key]'],
	['a configured secret', `<${CONFIGURED}>`, '<[redacted:configured-secret]>'],
	['a configured secret in JSON text', JSON.stringify([CONFIGURED]), '["[redacted:configured-secret]"]'],
	['a configured secret in a URL', `?k=${encodeURIComponent(CONFIGURED)}`, '?k=[redacted:configured-secret]'],
	['a secret behind ordinary words of another rule', 'basic AKIAIOSFODNN7EXAMPLE', 'basic [redacted:aws-key]'],
] as const) {
	test(`redaction takes out ${name}`, () => assert.equal(redact(text), expected));
}

for (const offset of [0, 1, 2]) {
	test(`redaction finds a configured secret in base64 at offset ${offset}`, () => {
		for (const encoding of ['base64', 'base64url'] as const) {
			const text = Buffer.from(`${'u'.repeat(offset)}${CONFIGURED}:tail`).toString(encoding);
			assert.match(String(redact(text)), /^[\w+/-]{0,4}\[redacted:configured-secret\][\w+/=-]*$/);
		}
	});
}

test('redaction reaches keys, nested values and headers by their name', () => {
	const key = `ghp_${run(MIXED, 36)}`;
	const value = {
		[key]: [1, {deep: [`a ${key}`, null]}],
		[`${key}`.replace('p', 's')]: true,
		Authorization: 'Basic x',
		'x-api-key': 'short',
	};
	assert.deepEqual(redactor(value), {
		value: {
			'[redacted:github-token]': [1, {deep: ['a [redacted:github-token]', null]}],
			'[redacted:github-token] (2)': true,
			Authorization: '[redacted:authorization]',
			'x-api-key': '[redacted:authorization]',
		},
		count: 5,
	});
});

test('redaction keeps an own __proto__ key what it is', () => {
	const value = JSON.parse(`{"__proto__": {"a": "AKIAIOSFODNN7EXAMPLE"}}`);
	assert.equal(canonical(redact(value)), '{"__proto__":{"a":"[redacted:aws-key]"}}');
});

for (const benign of [
	'SELECT token, "authorization", basic FROM sessions WHERE password = \'x\' AND kind = :kind -- sk-1',
	'task-management-and-risk-assessment-of-something-really-long-2024',
	'sk-learn-pipelines-and-estimators-for-everybody',
	'The bearer of this letter has a basic understanding of authorization: required reading.',
	'123e4567-e89b-12d3-a456-426614174000',
	'9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
	'http://localhost:8080/path?user=a@b.c and mail ada@example.com at 10:30, ratio 3:4@5',
	'http://[::1]:8000/@x',
	'-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----',
	'eyJ is how base64 of {" begins; a.b.c is a path; token: see the manual of the product',
	'basic training1 and Basic authentication',
	'abc is too short to be a configured secret',
	'x\u{1f600}é[redacted:openai-key]',
]) {
	test(`redaction leaves alone: ${benign.slice(0, 40)}`, () => {
		const value = {rows: [[1, benign, null, true]], [benign]: {n: 1.5}};
		const result = redactor(value);
		assert.equal(result.value, value);
		assert.equal(result.count, 0);
	});
}

test('members are known by their names, unless their value is a word, a reference or not a text', () => {
	const kept = {
		...{password: 'string', api_key: 'secret:github', secret: 'upstream', token: 'end', access_token: '$TOKEN', passwd: '****'},
		...{password_hash: 'abc1234567', tokens: 3, primary_key: 'order_id_12345', cache_key: '9f86d081884c7d659a2feaa0c55ad015'},
	};
	assert.equal(redact(kept), kept);
	const secrets = {password: 'hunter2', dbPassword: 'correcthorse', 'api-key': run(MIXED, 20), clientSecret: run(MIXED, 30)};
	assert.deepEqual(redactor(secrets), {
		value: Object.fromEntries(Object.keys(secrets).map((name) => [name, '[redacted:named-secret]'])),
		count: 4,
	});
});

for (const [name, spell] of Object.entries({
	hex: (text: string) => Buffer.from(text).toString('hex'),
	'hex in capitals': (text: string) => Buffer.from(text).toString('hex').toUpperCase(),
	'JSON with escaped slashes': (text: string) => JSON.stringify(text).slice(1, -1).replaceAll('/', '\\/'),
	'JSON in JSON': (text: string) => JSON.stringify(JSON.stringify(text).slice(1, -1)).slice(1, -1),
	'JSON for HTML': (text: string) =>
		JSON.stringify(text)
			.slice(1, -1)
			.replace(/[&+ü]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`),
	'a URL in a URL': (text: string) => encodeURIComponent(encodeURIComponent(text)),
	'a form': (text: string) => encodeURIComponent(text).replaceAll('%20', '+'),
	reverse: (text: string) => [...text].reverse().join(''),
}))
	test(`redaction finds a configured secret in ${name}`, () =>
		assert.equal(redact(`<${spell(CONFIGURED)}>`), '<[redacted:configured-secret]>'));

test('secrets that become known later are found from then on', () => {
	const known = {list: ['the-first-secret'] as readonly string[]};
	const live = createRedactor(() => known.list);
	assert.equal(live('the-second-secret').count, 0);
	known.list = [...known.list, 'the-second-secret'];
	assert.equal(live('the-second-secret, the-first-secret').count, 2);
});

test('half a character becomes U+FFFD, so that it can be stored', () => {
	assert.deepEqual(redactor({a: 'cut \ud83d'}), {value: {a: 'cut \ufffd'}, count: 0});
});

test('what is not JSON passes redaction, however deep or circular it is', () => {
	const cycle: unknown[] = [];
	cycle.push(cycle, new Date(0), undefined, 1n);
	assert.equal(redact(cycle), cycle);
});

const fragment = fc.oneof(
	fc.constantFrom(
		'sk-',
		'sk-ant-',
		'ghp_',
		'AKIA',
		'AIza',
		'xoxb-',
		'eyJ',
		'.',
		'://',
		':',
		'@',
		'/',
		'Bearer ',
		'basic ',
		'token: ',
		' ',
		'-',
	),
	fc.constantFrom('[redacted:', ']', '[redacted:jwt]', 'authorization: ', '--token ', CONFIGURED, base64(CONFIGURED), PEM, JWT),
	fc.constantFrom(run(MIXED, 16), run(MIXED, 20), run(MIXED, 36), run('ABCDEFGH12345678', 16), run('z', 40), base64('a:b')),
	fc.string({maxLength: 6}),
);
const hostile = fc.array(fragment, {maxLength: 12}).map((parts) => parts.join(''));

test('redacting twice is redacting once', () => {
	fc.assert(
		fc.property(hostile, hostile, (a, b) => {
			const once = redact({[a]: [b], authorization: a, 'x-api-key': b});
			const twice = redactor(once);
			assert.equal(twice.value, once);
			assert.equal(twice.count, 0);
		}),
		{numRuns: 3_000},
	);
});

test('no configured secret survives, whatever stands around it', () => {
	fc.assert(
		fc.property(hostile, hostile, (a, b) => assert.ok(!String(redact(`${a}${CONFIGURED}${b}`)).includes(CONFIGURED))),
		{numRuns: 2_000},
	);
});

for (const unit of [
	'sk-',
	'eyJ',
	'eyJaaaaaa.',
	'://',
	'://a:',
	'://a:b[redacted:jwt]',
	'-----BEGIN PRIVATE KEY-----',
	'-a',
	'AKIA',
	'Bearer ',
	'basic aaaa',
	'Authorization: ',
	'token: a.',
	'ghp_',
	'glpat-',
	'password=',
	'secret: ',
	'=',
	'key-0123456789abcdef',
	'SG.aaaaaaaaaaaaaaaaaaaa.',
	'M00000000000000000000000.',
	'Private-Lines: 1\n',
	'\\neyJ',
	'x',
	`${CONFIGURED.slice(0, -1)}`,
]) {
	test(`redaction takes linear time on ${unit}…`, () => {
		/** of the processor, which others may keep from us, in milliseconds */
		const cost = (length: number, times: number) => {
			const text = run(unit, length);
			const before = process.threadCpuUsage();
			for (let time = 0; time < times; time += 1) redact(text);
			const {user, system} = process.threadCpuUsage(before);
			return (user + system) / 1_000;
		};
		cost(1_000, 3); // compiles the patterns
		const [short, long] = [cost(125_000, 16), cost(1_000_000, 2)];
		// As many characters either way: quadratic time would be eight times as long. The rest is what that clock cannot resolve.
		assert.ok(long < 4 * (short + 8), `${long} ms for 2 MB in two texts, ${short} ms in sixteen`);
	});
}

test('a configured secret is found within a digest, and a digest without one stays', () => {
	const digest = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
	const redact = createRedactor(['c55ad015a3bf', 'qwerty']);
	assert.equal(redact(digest).value, '9f86d081884c7d659a2feaa0[redacted:configured-secret]4f1b2b0b822cd15d6c15b0f00a08');
	assert.equal(redact(`${digest.slice(0, 32)}${Buffer.from('qwerty').toString('hex')}`).count, 1);
	assert.deepEqual(createRedactor(['qwerty'])(digest), {value: digest, count: 0});
});
