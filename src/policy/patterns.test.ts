import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {test} from 'node:test';
import {compilePattern} from '#contract/pattern.ts';
import {policyDocumentSchema} from '#contract/policy.ts';
import {parsePolicyText} from './policy-text.ts';

const TRAP = '(a+)+$';
const LONG = `${'a'.repeat(100_000)}b`;

test('a pattern that would never be done with an input is done with it', () => {
	const script = `new RegExp(${JSON.stringify(TRAP)}, 'iu').test('a'.repeat(60) + 'b')`;
	const {signal} = spawnSync(process.execPath, ['-e', script], {timeout: 2_000, killSignal: 'SIGKILL'});
	assert.equal(signal, 'SIGKILL', 'the engine of the language is still at it');

	for (const pattern of [TRAP, '(a|aa)+$', '(.*a){12}$', 'a*a*a*a*c', '(a?){50}a{50}$'])
		assert.equal(typeof compilePattern(pattern).test(LONG), 'boolean', pattern);
});

test('a pattern finds what it says, whatever the case', () => {
	const found = (pattern: string, text: string) => compilePattern(pattern).test(text);
	assert.equal(found('\\bdelete\\s+from\\b', 'x; DELETE  FROM y'), true);
	assert.equal(found('\\brm\\s+-rf\\b', 'rm -rfoo'), false);
	assert.equal(found('\\u0061\\d{3}', 'A123'), true);
	assert.equal(found('^(?<host>[\\w.-]+):22$', 'db.example:22'), true);
	assert.equal(found('\\p{Lu}', 'ä'), true);
});

test('a policy with a pattern that cannot be linear is refused with its line', () => {
	for (const pattern of ['(?=x)y', '(a)\\1', '(?<!x)y']) {
		const text = `version: 1\nrisk:\n  rules:\n    - id: mine\n      level: high\n      patterns:\n        - ok\n        - '${pattern}'\n`;
		const {value, problems} = parsePolicyText(text, 'policy.yaml');
		assert.equal(value, null);
		assert.deepEqual(
			problems.map(({line, message}) => [line, /linear time/.test(message)]),
			[[8, true]],
			JSON.stringify(problems),
		);
	}
	assert.equal(policyDocumentSchema.safeParse({version: 1}).success, true);
});
