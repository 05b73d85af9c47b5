import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {describe, test} from 'node:test';
import fc from 'fast-check';
import {canonicalHost, coversHost, isHostPattern, parseAuthority} from './host-name.ts';

/** One host per line, as JSON strings: spellings that some parser reads as another host. */
const CORPUS: readonly string[] = JSON.parse(
	readFileSync(new URL('../../../test/corpus/egress/hosts.json', import.meta.url), 'utf8'),
);
const RULES = ['allowed.test', '*.wild.test', 'xn--bcher-kva.test', '93.184.216.34', '[2606:4700::1111]'];

/** What a check without a parser does. */
const naive = (host: string) => RULES.some((rule) => host.endsWith(rule.replace('*.', '')));
const allowed = (text: string) => {
	const host = canonicalHost(text);
	return host !== undefined && RULES.some((rule) => coversHost(rule, host)) ? host : undefined;
};

/** INVARIANT: a host that is let through is the host that every URL parser sees. */
function agrees(text: string): void {
	const host = allowed(text);
	if (host !== undefined) assert.equal(URL.parse(`http://${text}/`)?.hostname, host, JSON.stringify(text));
}

describe('a host', () => {
	for (const [text, expected] of Object.entries({
		'allowed.test': 'allowed.test',
		'ALLOWED.Test': 'allowed.test',
		'a.wild.test': 'a.wild.test',
		'a.b.wild.test': 'a.b.wild.test',
		'xn--bcher-kva.test': 'xn--bcher-kva.test',
		'93.184.216.34': '93.184.216.34',
		'[2606:4700::1111]': '[2606:4700::1111]',
	}))
		test(`\`${text}\` is allowed`, () => assert.equal(allowed(text), expected));

	test('of the corpus is refused, though a check by its ending lets some of them through', () => {
		assert.ok(CORPUS.length >= 50, `only ${CORPUS.length} hosts`);
		assert.deepEqual(
			CORPUS.map(allowed).filter((host) => host !== undefined),
			[],
		);
		assert.ok(CORPUS.filter(naive).length >= 10);
	});

	test('that is allowed is the one that a URL parser sees, whatever is written', () => {
		const piece = fc.constantFrom(
			...[
				'allowed',
				'wild',
				'test',
				'.',
				'..',
				'-',
				'xn--',
				'xn--bcher-kva',
				'93',
				'0x5d',
				'0135',
				'184.216.34',
				'[',
				']',
				':',
				'::',
				'@',
				'/',
				'\\',
			],
			...[
				'%2e',
				'%00',
				'\0',
				' ',
				'\t',
				'\n',
				'#',
				'?',
				'。',
				'ａ',
				'K',
				'ß',
				'\u00ad',
				'\u200b',
				'A',
				'_',
				'*',
				'2606:4700::1111',
				'evil',
			],
		);
		const mutated = fc
			.tuple(
				fc.constantFrom('allowed.test', 'a.wild.test', 'xn--bcher-kva.test', '93.184.216.34', '[2606:4700::1111]'),
				fc.nat(30),
				piece,
			)
			.map(([host, at, extra]) => host.slice(0, at) + extra + host.slice(at));
		const texts = fc.oneof(
			fc.array(piece, {maxLength: 8}).map((pieces) => pieces.join('')),
			mutated,
			fc.string({unit: 'binary'}),
			fc.domain(),
		);
		fc.assert(fc.property(texts, agrees), {numRuns: 20_000});
	});

	test('that is a domain in the fast-check sense is canonical and stays itself', () => {
		fc.assert(
			fc.property(fc.domain(), (domain) => {
				const host = canonicalHost(domain);
				if (host !== undefined) assert.deepEqual([canonicalHost(host), URL.parse(`http://${domain}/`)?.hostname], [host, host]);
			}),
		);
	});
});

test('an authority needs a plain decimal port, unless there is a default', () => {
	const parsed = [
		'a.test:443',
		'a.test:0443',
		'a.test:65536',
		'a.test:',
		'a.test',
		'[::1]:80',
		'[::1]',
		'a.test:80:90',
		':80',
	].map((text) => parseAuthority(text));
	assert.deepEqual(parsed, [
		{host: 'a.test', port: 443},
		...Array(4).fill(undefined),
		{host: '[::1]', port: 80},
		...Array(3).fill(undefined),
	]);
	assert.deepEqual(parseAuthority('a.test', 80), {host: 'a.test', port: 80});
	assert.deepEqual(parseAuthority('[::1]', 80), {host: '[::1]', port: 80});
});

test('a wildcard covers names below its own, and none that are encoded', () => {
	const covered = ['wild.test', '.wild.test', 'a.wild.test', 'xn--bcher-kva.wild.test', 'awild.test', 'a.wild.test.evil'];
	assert.deepEqual(
		covered.filter((host) => coversHost('*.wild.test', host)),
		['a.wild.test'],
	);
});

test('a rule names a canonical host, an address as a URL shows it, or all names below two labels', () => {
	const good = ['a.test', '*.a.test', '1.2.3.4', '[2606:4700::1111]', 'xn--bcher-kva.test'];
	const bad = [
		'',
		'*',
		'*.',
		'*.test',
		'A.test',
		'a.test.',
		'*.*.test',
		'a.*.test',
		'*.1.2.3.4',
		'http://a.test',
		'a.test:443',
		'2606:4700::1111',
		'bücher.test',
		'[::FFFF]',
	];
	assert.deepEqual([...good, ...bad].filter(isHostPattern), good);
});
