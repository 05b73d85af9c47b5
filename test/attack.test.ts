/** The battery's own measure: that it is whole, that it sees what it must, and that it fails when it should. `npm run attack` runs all of it. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {type Battery, type Result, wasPrevented} from './attack/battery.ts';
import {BENIGN} from './attack/benign.ts';
import type {Planted} from './attack/canaries.ts';
import {appearances} from './attack/canaries.ts';
import {type Case, isApplicable, WAYS} from './attack/case.ts';
import {CASES, PLANNED} from './attack/cases.ts';
import {leaks, objections} from './attack/judge.ts';
import {failures} from './attack/report.ts';
import type {Done} from './attack/subject.ts';
import {ROOT} from './server.ts';

const ids = (letter: string, count: number) =>
	Array.from({length: count}, (_, index) => `${letter}${String(index + 1).padStart(2, '0')}`);

/** Of all ways of all cases. */
const MOST_NOT_APPLICABLE = 6;

test('all 118 attacks of the plan are there, in three ways each', () => {
	const planned = [
		...ids('S', 28),
		...ids('P', 20),
		...ids('J', 10),
		...ids('F', 16),
		...ids('N', 16),
		...ids('K', 12),
		...ids('R', 10),
		...ids('E', 6),
	];
	assert.equal(planned.length, 118);
	assert.deepEqual(
		PLANNED.map(({id}) => id),
		planned,
	);
	const empty = CASES.flatMap((each) =>
		WAYS.filter((way) => isApplicable(each[way]) && (each[way] as readonly unknown[]).length === 0).map(
			(way) => `${each.id} ${way}`,
		),
	);
	assert.deepEqual(empty, []);
	assert.equal(new Set(CASES.map(({id}) => id)).size, CASES.length);
});

test('few ways are said not to be applicable, each with a reason', () => {
	const without = CASES.flatMap((each) => WAYS.map((way) => each[way])).filter((attempts) => !isApplicable(attempts));
	assert.ok(without.length <= MOST_NOT_APPLICABLE, `${without.length}`);
	assert.ok(without.every((attempts) => !isApplicable(attempts) && attempts.because.length > 20));
});

test('at least forty benign twins show something', () => {
	assert.ok(BENIGN.length >= 40);
	assert.ok(BENIGN.every(({shows, payload}) => shows !== '' && !('sql' in payload && payload.sql === shows)));
});

const PLANTED = {won: 'won123', values: {file: 'canary-file-0123456789abcdef'}} as unknown as Planted;
const done = (changes: Partial<Done>): Done => ({
	payload: {kind: 'python', code: ''},
	outcome: 'succeeded',
	code: '',
	output: '',
	...changes,
});

for (const [title, found] of Object.entries<readonly string[]>({
	'a program says that it broke out': objections(done({output: '["won123 x"]'}), PLANTED, false),
	'SQL is answered that must not be': objections(done({payload: {kind: 'refused', sql: ''}, output: '{}'}), PLANTED, false),
	'a proposal is acted on that must not be': objections(done({payload: {kind: 'propose', tool: 'x', input: {}}}), PLANTED, false),
	'the platform has no better word for it than an internal error': objections(
		done({outcome: 'failed', code: 'internal_error'}),
		PLANTED,
		false,
	),
	'a payload was never tried': objections(done({outcome: 'absent'}), PLANTED, false),
	'nobody knows what became of it': objections(done({outcome: 'unknown'}), PLANTED, false),
	...Object.fromEntries(
		appearances(PLANTED.values.file).map((form) => [
			`a canary comes out as ${form.slice(0, 12)}…`,
			leaks({done: [], record: `x${form}y`}, PLANTED),
		]),
	),
	'a canary comes out inside longer base64': leaks(
		{done: [], record: Buffer.from(`abc ${PLANTED.values.file} def`).toString('base64')},
		PLANTED,
	),
}))
	test(`an attack has succeeded when ${title}`, () => assert.equal(found.length, 1, found.join('; ')));

const full = (verdict: Result['verdict'], provider = 'process', cases: readonly Case[] = CASES): Battery => ({
	provider,
	leftovers: [],
	repeated: [],
	ms: 1,
	results: [
		...cases.flatMap(({id}) => WAYS.map((way): Result => ({id, way, verdict, reasons: [], ms: 1}))),
		...(provider === 'none' ? [] : BENIGN.map(({id}): Result => ({id, way: 'benign', verdict: 'passed', reasons: [], ms: 1}))),
	],
});
const changed = (battery: Battery, index: number, verdict: Result['verdict']): Battery => ({
	...battery,
	results: battery.results.map((result, at) => (at === index ? {...result, verdict} : result)),
});

test('a battery in which everything was contained passes', () => {
	assert.deepEqual(failures([full('contained'), full('succeeded', 'none')], CASES, ['process', 'none']), []);
});

for (const [title, batteries] of Object.entries<readonly Battery[]>({
	'one attack escapes': [changed(full('contained'), 100, 'escaped'), full('succeeded', 'none')],
	'one twin is blocked': [changed(full('contained'), CASES.length * WAYS.length, 'blocked'), full('succeeded', 'none')],
	'an attack is missing': [full('contained', 'process', CASES.slice(1)), full('succeeded', 'none')],
	'the attacks do not succeed without a sandbox either': [full('contained'), full('failed', 'none')],
	'nobody looked at what happens without a sandbox': [full('contained')],
	'a provider was left out': [full('succeeded', 'none')],
	'something is left behind': [{...full('contained'), leftovers: ['processes: 1 sh']}, full('succeeded', 'none')],
}))
	test(`a battery fails when ${title}`, () => assert.notDeepEqual(failures(batteries, CASES, ['process', 'none']), []));

const root = process.getuid?.() === 0;

test('one case of each class is contained by the process provider, and succeeds without it', {
	skip: !root && 'it plants files that only root may read, in a network of its own',
}, () => {
	const {status, results, output} = battery(['--provider', 'process,none', '--only', 'S02,P01,F01,N01,K01,E01']);
	const verdicts = results.flatMap(({results}) => results).filter(({way}) => way !== 'benign');
	assert.deepEqual(new Set(verdicts.map(({verdict}) => verdict)), new Set(['contained', 'succeeded']), output);
	assert.equal(verdicts.length, 6 * WAYS.length * 2);
	assert.equal(status, 0, output);
});

function battery(args: readonly string[]): {
	readonly status: number | null;
	readonly results: readonly Battery[];
	readonly output: string;
} {
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-battery-'));
	try {
		const file = path.join(directory, 'results.json');
		const {status, stdout, stderr} = spawnSync(
			process.execPath,
			[path.join(ROOT, 'scripts/attack.ts'), ...args, '--json', file, '--seconds', '15'],
			{encoding: 'utf8', timeout: 300_000},
		);
		return {
			status,
			results: (JSON.parse(readFileSync(file, 'utf8')) as {batteries: Battery[]}).batteries,
			output: `${stdout}${stderr}`,
		};
	} finally {
		rmSync(directory, {recursive: true, force: true});
	}
}

test('an attack is made again when there was no sandbox to attack, and never when anything else is held against it', () => {
	const result = (...reasons: string[]): Result => ({id: 'X01', way: 'code', verdict: 'escaped', reasons, ms: 1});
	const none = 'it ended with `sandbox_unavailable`: it was not ready after 15000 ms';
	assert.deepEqual(
		[
			result(none),
			result(none, 'it was never tried', 'it took 90000 ms'),
			result(none, 'it broke out: x'),
			result('the file canary came out'),
			result('it ended with `internal_error`'),
			{...result(none), verdict: 'blocked' as const},
		].map(wasPrevented),
		[true, true, false, false, false, false],
	);
});
