import assert from 'node:assert/strict';
import {join} from 'node:path';
import {test} from 'node:test';
import type {Frame} from '#contract/sandbox.ts';
import {ending, runInChild} from './run-in-child.ts';

const RUNNER = [process.execPath, '--no-warnings', join(import.meta.dirname, 'javascript.ts')] as const;

function run(code: string, maxBytes = 10_000) {
	return runInChild({command: [...RUNNER], request: {kind: 'javascript', code, tools: false, maxBytes}});
}

async function resultOf(code: string): Promise<unknown> {
	const finished = await run(code);
	assert.equal(ending(finished).type, 'done', JSON.stringify(finished));
	return finished.frames.find((frame) => frame.type === 'value')?.value;
}

async function errorOf(code: string, maxBytes?: number): Promise<Omit<Extract<Frame, {type: 'error'}>, 'type'>> {
	const last = ending(await run(code, maxBytes));
	assert.equal(last.type, 'error');
	const {type: _, ...error} = last as Extract<Frame, {type: 'error'}>;
	return error;
}

for (const [title, code, expected] of [
	['its default export', 'export default {a: [1, "x", true, null]}', {a: [1, 'x', true, null]}],
	['what its default export promises', 'export default Promise.resolve(7)', 7],
	['its export `result`', 'export const result = 8', 8],
	['what it assigned to `result`', 'result = await Promise.resolve(9)', 9],
	['its default export before its export `result`', 'export const result = 1; export default 2', 2],
	['nothing, when it only does something', 'console.log(1)', undefined],
	['of modules that Node has', 'import {sep} from "node:path"; export default sep', '/'],
] as const) {
	test(`the result of a module is ${title}`, async () => {
		assert.deepEqual(await resultOf(code), expected);
	});
}

test('values that JSON has no word for have one form each', async () => {
	const code = `
const circle = {name: 'c'}; circle.self = circle;
class Point { constructor() { this.x = 1 } get y() { return 2 } }
export default {
	big: 2n ** 60n, small: 5n, date: new Date(0), never: new Date(NaN), map: new Map([['k', 1]]), pairs: new Map([[1, 2]]),
	set: new Set([1, 1, 2]), bytes: new Uint8Array([1, 2]), floats: new Float32Array([0.5]), longs: new BigInt64Array([1n]), circle,
	error: new TypeError('bad'), url: new URL('http://a/b'), point: new Point(), pattern: /a+/g, boxed: Object('s'), hole: [, 1],
	gone: undefined, method() {}, symbol: Symbol('s'), lone: '\\ud800'
}`;
	assert.equal(
		JSON.stringify(await resultOf(code)),
		JSON.stringify({
			big: '1152921504606846976',
			small: 5,
			date: '1970-01-01T00:00:00.000Z',
			never: null,
			map: {k: 1},
			pairs: [[1, 2]],
			set: [1, 2],
			bytes: 'AQI=',
			floats: [0.5],
			longs: [1],
			circle: {name: 'c', self: '[circular]'},
			error: {name: 'TypeError', message: 'bad'},
			url: 'http://a/b',
			point: {x: 1},
			pattern: '/a+/g',
			boxed: 's',
			hole: [null, 1],
			lone: '\ufffd',
		}),
	);
});

test('numbers that are not finite are null, and counted', async () => {
	const finished = await run('export default [NaN, Infinity, 1]');
	assert.deepEqual(finished.frames.slice(1), [
		{type: 'value', value: [null, null, 1]},
		{type: 'done', totalRows: null, truncated: null, nonFinite: 2},
	]);
});

for (const [title, code, error] of [
	[
		'an exception',
		'const a = 1;\nfunction f() {\n  null.x;\n}\nf();',
		{message: "TypeError: Cannot read properties of null (reading 'x') (line 3)", details: {line: 3}},
	],
	[
		'a rejection nobody handles',
		'\nPromise.reject(new RangeError("far"));\nawait new Promise((r) => setTimeout(r, 1000));',
		{message: 'RangeError: far (line 2)', details: {line: 2}},
	],
	[
		'an exception in a callback',
		'setTimeout(() => {\n  throw new Error("late");\n});\nawait new Promise((r) => setTimeout(r, 1000));',
		{message: 'Error: late (line 2)', details: {line: 2}},
	],
	['something thrown that is no error', 'throw "text"', {message: 'the code threw text', details: {}}],
	[
		'a mistake in its syntax',
		'const a = 1;\nconst = 2;',
		{message: "SyntaxError: Unexpected token '=' (line 2)", details: {line: 2}},
	],
	['a name there is not', 'nothing()', {message: 'ReferenceError: nothing is not defined (line 1)', details: {line: 1}}],
	['an exit', 'process.exit(3)', {message: 'the code called exit (3)'}],
	['a wait for nothing', 'await new Promise(() => {})', {message: 'the code awaits a promise that never settles'}],
	[
		'a result that is a function',
		'export default () => 1',
		{message: 'the result is a function', hint: 'export what it returns, as in `export default await main()`', details: {}},
	],
	[
		'a getter that throws',
		'export default {get x() { throw new Error("no") }}',
		{message: 'Error: no (line 1)', details: {line: 1}},
	],
	[
		'an error that cannot be printed',
		'throw {toString() { throw 1 }}',
		{message: 'the code threw what cannot be printed', details: {}},
	],
	[
		'tools it was not given',
		'await writ.call("analyst.sql", {})',
		{message: 'Refusal: this run was given no tools (line 1)', details: {line: 1}},
	],
] as const) {
	test(`${title} is the error of the module, with its line where there is one`, async () => {
		assert.deepEqual(await errorOf(code), {code: 'javascript_execution_error', ...error});
	});
}

for (const [title, code] of [
	['text', 'export default "x".repeat(20_000)'],
	['an array of holes', 'export default new Array(4e9)'],
	[
		'an endless set of objects',
		'let n = 0; export default {[Symbol.iterator]: null, toJSON: () => Array.from({length: 5_000}, () => ({n: n++}))}',
	],
] as const) {
	test(`${title} beyond the cap is an error that names the limit`, async () => {
		const {code: name, details} = await errorOf(code, 10_000);
		assert.deepEqual([name, details], ['runner_resource_exceeded', {limit: 'maxBytes', value: 10_000}]);
	});
}

test('a value nested too deep is an error', async () => {
	const {message} = await errorOf('let v = 1; for (let i = 0; i < 40; i++) v = [v]; export default v');
	assert.equal(message, 'the value is nested deeper than 32 levels');
});

test('what the module prints goes to the captured streams, not into the protocol', async () => {
	const finished = await run('console.log("out"); console.error("err"); export default 1');
	assert.deepEqual([finished.stdout, finished.stderr, finished.exit], ['out\n', 'err\n', 0]);
});
