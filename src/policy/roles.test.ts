import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Principal} from '#contract/event.ts';
import {ROLES, type Role} from '#contract/identity.ts';
import {decide} from '#kernel/decide.ts';
import {readPolicy} from './policy-file.ts';
import {sampleAction, sampleDigest, sampleFacts, samplePolicy} from './sample-action.ts';

const policy = samplePolicy();
const READ = sampleAction();
const WRITE = sampleAction({}, {name: 'ops.note', effect: 'write'});
const DESTROY = sampleAction({}, {name: 'ops.drop', effect: 'destructive'});
const ADD = sampleAction({}, {name: 'dataset.add', effect: 'write'});

function permission(action: typeof READ, principal: Partial<Principal>, gates = policy): string {
	const gate = decide(action, sampleFacts({}, principal), gates).gates.find(({gate: name}) => name === 'permission');
	return `${gate?.effect} ${gate?.rules.join(' ')}`;
}

const as = (...roles: Role[]): Partial<Principal> => ({roles});

test('each role may do with tools what it is for, and no other', () => {
	const able = (action: typeof READ) => ROLES.filter((role) => !permission(action, as(role)).startsWith('deny'));
	assert.deepEqual(able(READ), ['analyst']);
	assert.deepEqual(able(WRITE), ['operator']);
	assert.deepEqual(able(DESTROY), ['operator']);
	assert.deepEqual(able(ADD), ['analyst', 'operator']);
	assert.equal(permission(READ, as()), 'deny reading-takes-analyst');
	assert.equal(permission(WRITE, as('analyst')), 'deny changing-takes-operator');
});

test('whoever was given no roles keeps what they could do before there were any', () => {
	assert.equal(permission(READ, {}), 'allow analyst-reads');
	assert.equal(permission(WRITE, {}), 'ask writes-ask');
	assert.equal(permission(WRITE, as('operator')), 'ask writes-ask');
});

test('a token that names tools is good for these alone', () => {
	assert.equal(permission(READ, {tools: ['analyst.*']}), 'allow analyst-reads');
	assert.equal(permission(READ, {tools: ['analyst.sql']}), 'allow analyst-reads');
	assert.equal(permission(READ, {tools: ['analyst.python', 'code.*']}), 'deny token-names-its-tools');
	assert.equal(permission(READ, {tools: []}), 'deny token-names-its-tools');
});

test('a policy that leaves the built-in rules out and permits everything gives no role more', () => {
	const parts = {disabledTools: new Map<string, string>(), digest: sampleDigest};
	const text = 'version: 1\ncedar: {builtin: false, rules: "permit (principal, action, resource);"}\n';
	const {policy: open} = readPolicy('/p/policy.yaml', parts, () => text);
	assert.ok(open);
	assert.match(permission(WRITE, {}, open), /^allow /);
	assert.equal(permission(WRITE, as('viewer', 'analyst', 'approver', 'admin'), open), 'deny changing-takes-operator');
	assert.equal(permission(READ, {tools: ['ops.*']}, open), 'deny token-names-its-tools');
});

test('a policy may speak of roles', () => {
	const text =
		'version: 1\ncedar: {rules: "@id(\\"auditors-look\\") permit (principal in Role::\\"auditor\\", action == Action::\\"analyst.sql\\", resource);"}\n';
	const {policy: given, problems} = readPolicy('/p/policy.yaml', {disabledTools: new Map(), digest: sampleDigest}, () => text);
	assert.deepEqual(problems, []);
	assert.ok(given);
	assert.equal(permission(READ, {kind: 'service', ...as('analyst', 'auditor')}, given), 'allow auditors-look');
	assert.equal(permission(READ, {kind: 'service', ...as('analyst')}, given), 'deny no-permit');
});
