import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {test} from 'node:test';
import fc from 'fast-check';
import {canonical, digest, MAX_DEPTH} from './canonical.ts';

for (const [name, value, expected] of [
	[
		'sorts keys by UTF-16 code units',
		{'\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, ö: 7},
		'{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\u{1f600}":5,"\ufb33":3}',
	],
	[
		'writes numbers as ECMAScript does',
		JSON.parse('[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001, -0, 1e21, 9007199254740993]'),
		'[333333333.3333333,1e+30,4.5,0.002,1e-27,0,1e+21,9007199254740992]',
	],
	[
		'escapes what must be escaped and nothing else',
		'\u20ac$\u000f\nA\'B"\\\\"/\u2028\u007f',
		'"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\u2028\u007f"',
	],
	['leaves out properties that are undefined', {a: undefined, b: [], c: {}}, '{"b":[],"c":{}}'],
	['keeps an own __proto__ as an ordinary key', JSON.parse('{"z":1,"__proto__":{"a":2}}'), '{"__proto__":{"a":2},"z":1}'],
	['writes objects without a prototype', Object.assign(Object.create(null), {b: null, a: true}), '{"a":true,"b":null}'],
	[
		'sorts more than sixteen keys',
		Object.fromEntries([...'qwertyuiopasdfghjklzxcvbnm'].map((key) => [key, 1])),
		`{${[...'abcdefghijklmnopqrstuvwxyz'].map((key) => `"${key}":1`).join(',')}}`,
	],
] as const) {
	test(`canonical JSON ${name}`, () => assert.equal(canonical(value), expected));
}

const cycle: Record<string, unknown> = {};
cycle.self = [cycle];
const deep = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
for (const [name, value, message] of [
	['NaN', {rows: [1, [Number.NaN]]}, 'not JSON at $.rows[1][0]: NaN is not a JSON number'],
	['an infinity', [-Infinity], 'not JSON at $[0]: -Infinity is not a JSON number'],
	['a BigInt', {a: {b: 1n}}, 'not JSON at $.a.b: a bigint has no JSON form'],
	['undefined in an array', [1, undefined], 'not JSON at $[1]: undefined has no JSON form'],
	['undefined itself', undefined, 'not JSON at $: undefined has no JSON form'],
	['a function', {run() {}}, 'not JSON at $.run: a function has no JSON form'],
	['a symbol', [Symbol('x')], 'not JSON at $[0]: a symbol has no JSON form'],
	['a lone surrogate in a value', {a: 'x\ud83d'}, 'not JSON at $.a: the text has a lone surrogate'],
	['a lone surrogate in a key', {'\udc00': 1}, 'not JSON at $.\ufffd: the text has a lone surrogate'],
	['a date', {at: new Date(0)}, 'not JSON at $.at: a Date is not a plain object'],
	['a map', new Map(), 'not JSON at $: a Map is not a plain object'],
	['a cycle', cycle, 'not JSON at $.self[0].self[0].self[0].self[0]…: the value contains itself'],
	['a nesting bomb', deep(100_000), `not JSON at $[0][0][0][0][0][0][0][0]…: nested deeper than ${MAX_DEPTH} levels`],
] as const) {
	test(`canonical JSON refuses ${name} and says where`, () => {
		assert.throws(() => canonical(value), {name: 'WritError', code: 'validation_error', message});
	});
}

test('canonical JSON survives a round trip through JSON and does not depend on key order', () => {
	fc.assert(
		fc.property(fc.jsonValue(), (value) => {
			const text = canonical(value);
			assert.equal(canonical(JSON.parse(text)), text);
			assert.equal(canonical(JSON.parse(JSON.stringify(reversed(value)))), text);
		}),
	);
});

test('a digest is the SHA-256 of the canonical UTF-8 bytes', () => {
	const expected = createHash('sha256').update(Buffer.from('{"a":"é\u{1f600}","b":1}', 'utf8')).digest('hex');
	assert.equal(digest({b: 1, a: 'é\u{1f600}'}), expected);
});

function reversed(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(reversed);
	if (value === null || typeof value !== 'object') return value;
	return Object.fromEntries(
		Object.entries(value)
			.reverse()
			.map(([key, member]) => [key, reversed(member)]),
	);
}
