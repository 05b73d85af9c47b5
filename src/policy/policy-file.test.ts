import assert from 'node:assert/strict';
import {mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import {createLivePolicy, type Reload} from './live.ts';
import {BUILT_IN} from './policy.ts';
import {readPolicy} from './policy-file.ts';
import {showProblem} from './policy-text.ts';
import {sampleDigest} from './sample-action.ts';

const PARTS = {disabledTools: new Map<string, string>(), digest: sampleDigest};

/** What is said of a policy file with this text. */
function problemsOf(text: string, files: Readonly<Record<string, string>> = {}): readonly string[] {
	const texts: Readonly<Record<string, string>> = {'/p/policy.yaml': text, ...files};
	const read = (name: string) => {
		const found = texts[name];
		if (found === undefined) throw new Error('there is no such file');
		return found;
	};
	return readPolicy('/p/policy.yaml', PARTS, read).problems.map(showProblem);
}

for (const [title, text, problems] of [
	['an unknown section', 'version: 1\nbudgts: {}\n', ['policy.yaml:2:1: unknown key `budgts`; did you mean `budgets`?']],
	[
		'unknown keys at any depth, in the order of the file',
		'version: 1\nrisk:\n  decisions: {hgih: ask}\n  rules:\n    - {id: x, level: high, wrds: [a], words: [b]}\n',
		['policy.yaml:3:15: unknown key `hgih`; did you mean `high`?', 'policy.yaml:5:28: unknown key `wrds`; did you mean `words`?'],
	],
	[
		'a wrong value',
		'version: 1\nbudgets:\n  run:\n    tokens: many\n',
		['policy.yaml:4:13: `budgets.run.tokens`: Invalid input: expected number, received string'],
	],
	[
		'a pattern that is none',
		'version: 1\nrisk:\n  rules: [{id: x, level: high, patterns: ["("]}]\n',
		['policy.yaml:3:43: `risk.rules.0.patterns.0`: Invalid regular expression: /(/iu: Unterminated group'],
	],
	['a key that is there twice', 'version: 1\nversion: 1\n', ['policy.yaml:2:1: Map keys must be unique']],
	[
		'a rule id that is there twice',
		'version: 1\nflow:\n  rules:\n    - {id: a, after: {label: x}, ask: {}}\n    - {id: a, after: {label: y}, ask: {}}\n',
		['policy.yaml:5:12: `flow.rules.1.id`: there are two rules with the id `a`'],
	],
	[
		'a greater risk that is treated more lightly',
		'version: 1\nrisk: {decisions: {medium: ask, high: allow}}\n',
		['policy.yaml:2:19: `risk.decisions`: a greater risk may not be treated more lightly than a smaller one'],
	],
	['nothing at all', '', ['policy.yaml: it says nothing']],
	['comments alone', '# version: 1\n', ['policy.yaml: it says nothing']],
	[
		'too many characters',
		`version: 1\n${'#'.repeat(100_000)}`,
		['policy.yaml: it has 100011 characters; at most 100000 are read'],
	],
	['brackets in brackets', '['.repeat(50_000), ['policy.yaml: it has more than 50 levels']],
	['lists in lists on one line', `version:\n  ${'- '.repeat(40_000)}`, ['policy.yaml: it has more than 50 levels']],
	[
		'maps in maps',
		Array.from({length: 60}, (_, depth) => `${' '.repeat(depth)}a:\n`).join(''),
		['policy.yaml: it has more than 50 levels'],
	],
	[
		'keys at any depth that are there twice, and a text and a number that are not the same',
		'version: 1\ntools: {a: {}, b: {}, a: {}}\nrisk:\n  1: x\n  "1": x\n  1: x\n',
		['policy.yaml:2:23: Map keys must be unique', 'policy.yaml:6:3: Map keys must be unique'],
	],
	['a key that is a list', 'version: 1\n? [a]\n: 1\n', ['policy.yaml:2:3: A map key must be a text']],
	[
		'more aliases than anybody needs',
		`version: 1\na: &a x\nb: [${'*a, '.repeat(30)}]\n`,
		['policy.yaml:3:85: there are more than 20 aliases'],
	],
	['an ordered map of an older YAML', '%YAML 1.1\n---\n!!omap\n- version: 1\n', [/Unresolved tag/]],
	[
		'inline Cedar that does not parse',
		'version: 1\ncedar:\n  rules: |\n    // fine\n    permit (everything);\n',
		[/^policy.yaml:5: /],
	],
	[
		'inline Cedar with an unknown tool',
		'version: 1\ncedar:\n  rules: |\n    @id("mine")\n    permit (principal, action == Action::"analyst.slq", resource);\n',
		[/^policy.yaml:4: .*unrecognized action `Action::"analyst.slq"`/, /unable to find/, /impossible/],
	],
	[
		'a file that is not there',
		'version: 1\ncedar:\n  files:\n    - more.cedar\n',
		['policy.yaml:4: `more.cedar` cannot be read: there is no such file'],
	],
] as const) {
	test(`a policy file with ${title} is refused with the place`, () => {
		const found = problemsOf(text);
		assert.equal(found.length, problems.length, found.join('\n'));
		for (const [index, expected] of problems.entries()) {
			if (typeof expected === 'string') assert.equal(found[index], expected);
			else assert.match(found[index] ?? '', expected);
		}
	});
}

test('of thousands of mistakes the first hundred are shown, and how many more there are', () => {
	for (const line of ['  aINDEX: {m: 1}', 'aINDEX: 1', 'version: 1', 'a: @b']) {
		const lines = Array.from({length: 4_000}, (_, index) => line.replace('INDEX', `${index}`));
		const problems = problemsOf(`version: 1\ntools: {}\n${lines.join('\n')}\n`.replace('{}\n  ', '\n  '));
		assert.equal(problems.length, 101);
		assert.match(problems[0] ?? '', /^policy.yaml:3:/);
		assert.match(problems[100] ?? '', /^policy.yaml: there are \d+ more problems$/);
	}
});

test('a Cedar file that does not parse is named with its line and column', () => {
	const [problem = ''] = problemsOf('version: 1\ncedar: {files: [more.cedar]}\n', {'/p/more.cedar': '\npermit (everything);'});
	assert.match(problem, /^more\.cedar:2:9: /);
});

test('without a file what is built in decides, and a file that says nothing decides the same', () => {
	const [none, empty] = [readPolicy(null, PARTS), readPolicy('/p/policy.yaml', PARTS, () => 'version: 1\n')];
	assert.deepEqual(none.policy?.document, BUILT_IN);
	assert.equal(empty.policy?.version, none.policy?.version);
});

test('the version changes with every value that decides', () => {
	const versions = [
		'version: 1\n',
		'version: 1\nbudgets: {run: {actions: 13}}\n',
		'version: 1\nrisk: {decisions: {critical: ask-two}}\n',
		'version: 1\ntools: {"*": {}}\n',
		'version: 1\ncedar: {builtin: false, rules: "permit (principal, action, resource);"}\n',
	].map((text) => readPolicy('/p/policy.yaml', PARTS, () => text).policy?.version);
	assert.equal(new Set(versions).size, versions.length);
	assert.ok(!versions.includes(undefined));
});

function onDisk(t: TestContext, text: string) {
	const dir = mkdtempSync(path.join(tmpdir(), 'writ-policy-'));
	const file = path.join(dir, 'policy.yaml');
	writeFileSync(file, text);
	t.after(() => rmSync(dir, {recursive: true}));
	return {file, live: createLivePolicy(() => readPolicy(file, PARTS))};
}

test('a broken file leaves the last good policy in force and says what is wrong, until it is mended', (t) => {
	const {file, live} = onDisk(t, 'version: 1\nbudgets: {run: {actions: 3}}\n');
	const good = live.current();
	writeFileSync(file, 'version: 1\nbudgets: {run: {action: 4}}\n');
	const problems = [{file: 'policy.yaml', line: 2, column: 17, message: 'unknown key `action`; did you mean `actions`?'}];
	assert.deepEqual(live.reload(), {kind: 'refused', version: good.version, previous: good.version, problems});
	assert.equal(live.current(), good);
	assert.deepEqual(live.problems(), problems);

	writeFileSync(file, 'version: 1\nbudgets: {run: {actions: 4}}\n');
	assert.equal(live.reload().kind, 'changed');
	assert.equal(live.current().budget.actions, 4);
	assert.deepEqual(live.problems(), []);
	assert.equal(live.reload().kind, 'unchanged');
});

test('the first policy has to be sound', (t) => {
	assert.throws(() => onDisk(t, 'versoin: 1\n'), {
		code: 'invalid_config',
		message: /unknown key `versoin`; did you mean `version`\?/,
	});
});

test('a file that is replaced while it is watched comes into force', async (t) => {
	const {file, live} = onDisk(t, 'version: 1\n');
	const {promise, resolve} = Promise.withResolvers<Reload>();
	t.after(live.watch(resolve));
	writeFileSync(`${file}.new`, 'version: 1\nbudgets: {run: {actions: 5}}\n');
	const hold = setTimeout(() => {}, 60_000); // a watcher alone does not keep the process awake
	renameSync(`${file}.new`, file);
	assert.equal((await promise).kind, 'changed');
	clearTimeout(hold);
	assert.equal(live.current().budget.actions, 5);
});

test('a file that the policy names only since it was reloaded is watched', async (t) => {
	const {file, live} = onDisk(t, 'version: 1\n');
	const heard: Reload[] = [];
	t.after(live.watch((reload) => heard.push(reload)));
	const extra = path.join(path.dirname(file), 'more', 'extra.cedar');
	const rule = (id: string) => `@id("${id}") forbid (principal, action, resource == Dataset::"payroll");`;
	mkdirSync(path.dirname(extra));
	writeFileSync(extra, rule('first'));
	writeFileSync(file, 'version: 1\ncedar: {files: [more/extra.cedar]}\n');
	live.reload();
	await delay(300);
	writeFileSync(extra, rule('second'));
	for (let waited = 0; waited < 5_000 && !live.current().rules.includes('second'); waited += 50) await delay(50);
	assert.match(live.current().rules, /"second"/);
	assert.equal(heard.at(-1)?.kind, 'changed');
});
