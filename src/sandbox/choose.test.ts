import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Level} from '#contract/sandbox.ts';
import {type Candidate, chooseStrongest, withDemands} from './choose.ts';
import {permit, python, spec} from './fixtures/attack.ts';
import {createInMemoryProvider} from './fixtures/in-memory-provider.ts';
import type {ProviderFacts, SandboxProvider} from './sandbox.ts';

const signal = new AbortController().signal;
const HERE = {kind: 'available'} as const;
const ABSENT = {kind: 'unavailable', reason: 'no engine', hint: 'start it'} as const;

function providerOf(facts: Partial<ProviderFacts> = {}, given: Level = facts.level ?? 'kernel-shared', opened = given) {
	const fake = createInMemoryProvider();
	const state = {closed: false, asked: 0};
	const provider: SandboxProvider = {
		...fake,
		async facts() {
			state.asked += 1;
			return {...FACTS, ...facts};
		},
		async open(of, options) {
			const sandbox = await fake.open(of, options);
			const isolation = {provider: 'process', level: given} as never;
			return {...sandbox, level: opened, run: async (...call) => ({...(await sandbox.run(...call)), isolation})};
		},
		async close() {
			state.closed = true;
		},
	};
	return {provider, state, fake};
}

const FACTS: ProviderFacts = {
	...{name: 'process', level: 'kernel-shared', namespaces: [], seccomp: true, runs: ['python'], egress: false},
	...{limits: {}, versions: {}, weaknesses: [], availability: HERE},
};

function candidate(name: Candidate['name'], best: Level, {provider}: {provider: SandboxProvider}): Candidate {
	return {name, best, create: async () => provider};
}

test('the strongest that works is chosen, and the choice is explained', async () => {
	const [vm, engine, process] = [
		providerOf({name: 'microsandbox', availability: {...ABSENT, reason: 'no /dev/kvm'}}),
		providerOf({name: 'docker', level: 'kernel-isolated'}),
		providerOf({name: 'process'}),
	];
	const {provider, why} = await chooseStrongest([
		candidate('microsandbox', 'vm-isolated', vm),
		candidate('docker', 'kernel-isolated', engine),
		candidate('process', 'kernel-shared', process),
	]);
	assert.equal(provider, engine.provider);
	assert.equal(why, 'docker (kernel-isolated) is the strongest that works here; microsandbox: no /dev/kvm');
	assert.deepEqual([vm.state.closed, engine.state.closed, process.state.asked], [true, false, 0]);
});

test('between equals the first is chosen', async () => {
	const [engine, process] = [providerOf({name: 'docker'}), providerOf({name: 'process'})];
	const {provider} = await chooseStrongest([
		candidate('process', 'kernel-shared', process),
		candidate('docker', 'kernel-isolated', engine),
	]);
	assert.equal(provider, process.provider);
});

test('when none works the last is taken, and every reason is given', async () => {
	const [engine, process] = [
		providerOf({name: 'docker', availability: ABSENT}),
		providerOf({availability: {...ABSENT, reason: 'no bubblewrap'}}),
	];
	const {provider, why} = await chooseStrongest([
		candidate('docker', 'kernel-isolated', engine),
		candidate('process', 'kernel-shared', process),
	]);
	assert.equal(provider, process.provider);
	assert.equal(why, 'none works here: process: no bubblewrap; docker: no engine');
});

for (const [title, demand, error] of [
	['a runner that it has not', {runner: 'ingest'}, /cannot run ingest, only python/],
	['a network that it has not', {network: {allow: [{host: 'a.example', ports: [443]}], maxBytes: 1}}, /no way out/],
	['more isolation than there is', {level: 'vm-isolated'}, /must be vm-isolated; the process sandbox here is kernel-shared/],
] as const) {
	test(`a run that needs ${title} is refused before anything starts`, async () => {
		const {provider, fake} = providerOf();
		const opening = withDemands(provider, 'none').open(spec(demand as never), {warm: false, signal});
		await assert.rejects(opening, error);
		assert.equal(fake.attempts, 0);
	});
}

test('the server demands for every run', async () => {
	const {provider} = providerOf();
	await assert.rejects(withDemands(provider, 'kernel-isolated').open(spec(), {warm: false, signal}), {code: 'policy_denied'});
	const sandbox = await withDemands(provider, 'kernel-shared').open(spec(), {warm: false, signal});
	assert.equal((await sandbox.run(permit(), python(''), signal)).isolation.level, 'kernel-shared');
});

test('an engine that gave less than it promised has its result withheld', async () => {
	const {provider} = providerOf({level: 'kernel-isolated'}, 'kernel-shared', 'kernel-isolated');
	const sandbox = await withDemands(provider, 'kernel-isolated').open(spec(), {warm: false, signal});
	await assert.rejects(sandbox.run(permit(), python(''), signal), {code: 'policy_denied'});
});

test('a sandbox that is less than its provider promised runs nothing', async () => {
	const {provider, fake} = providerOf({level: 'vm-isolated'}, 'kernel-shared');
	const opening = withDemands(provider, 'none').open(spec({level: 'kernel-isolated'}), {warm: false, signal});
	await assert.rejects(opening, {
		code: 'policy_denied',
		message: /must be kernel-isolated; the process sandbox here is kernel-shared/,
	});
	assert.deepEqual(
		fake.opened.map(({isEnded, tenant}) => [isEnded, tenant]),
		[[true, undefined]],
	);
});

test('what was known of a provider is asked again once a sandbox, or a result, is another', async () => {
	for (const [opened, given, asked] of [
		['kernel-isolated', 'kernel-isolated', 1],
		['kernel-shared', 'kernel-shared', 2],
		['vm-isolated', 'vm-isolated', 2],
		['kernel-isolated', 'kernel-shared', 2],
	] as const) {
		const {provider, state} = providerOf({level: 'kernel-isolated'}, given, opened);
		const demanding = withDemands(provider, 'none');
		const sandbox = await demanding.open(spec(), {warm: false, signal});
		await sandbox.run(permit(), python(''), signal);
		await demanding.level();
		assert.equal(state.asked, asked, `${opened}, ${given}`);
	}
});

test('what was known of a provider is asked again once nothing could be opened, unless its caller gave up', async () => {
	const {provider, state, fake} = providerOf();
	const demanding = withDemands(provider, 'none');
	await demanding.level();
	fake.broken = true;
	await assert.rejects(demanding.open(spec(), {warm: false, signal: AbortSignal.abort()}), {code: 'sandbox_unavailable'});
	await demanding.level();
	assert.equal(state.asked, 1);
	await assert.rejects(demanding.open(spec(), {warm: false, signal}), {code: 'sandbox_unavailable'});
	await demanding.level();
	assert.equal(state.asked, 2);
});

test('a provider that does not work is asked again, one that works is not', async () => {
	const absent = providerOf({availability: ABSENT});
	assert.equal(await withDemands(absent.provider, 'none').level(), 'none');
	const demanding = withDemands(absent.provider, 'none');
	await assert.rejects(demanding.open(spec(), {warm: false, signal}), {code: 'sandbox_unavailable', hint: 'start it'});
	await assert.rejects(demanding.open(spec(), {warm: false, signal}), {code: 'sandbox_unavailable'});
	assert.equal(absent.state.asked, 3);
	const present = providerOf();
	const kept = withDemands(present.provider, 'none');
	await kept.open(spec(), {warm: false, signal});
	assert.deepEqual([await kept.level(), present.state.asked], ['kernel-shared', 1]);
});

test('what a provider was chosen for is not looked for again at once', async () => {
	const {provider, state} = providerOf();
	const {facts} = await chooseStrongest([candidate('process', 'kernel-shared', {provider})]);
	const demanding = withDemands(provider, 'none', facts);
	assert.deepEqual([await demanding.facts(), await demanding.level(), state.asked], [facts, 'kernel-shared', 1]);
	await demanding.facts({thorough: true});
	assert.equal(state.asked, 2);
});
