/** What of a sandbox a decision relied on reaches the sandbox. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {PolicyDocument} from '#contract/policy.ts';
import type {Level, SandboxSpec} from '#contract/sandbox.ts';
import {digest} from '#evidence/canonical.ts';
import {BUILT_IN, createPolicy, loadDefaultPolicy} from '#policy/policy.ts';
import {govern} from './govern.ts';
import type {Kernel} from './ports.ts';
import {createTool, testKernel} from './test-kernel.ts';

type Situation = {
	/** the sandbox that the policy wants for the tool */
	readonly wanted?: Level;
	/** Cedar rules besides the built-in ones */
	readonly rules?: string;
	/** what the gates see */
	readonly seen: Level;
	/** what the tool itself demands */
	readonly own?: Level;
};

/** The level that the sandbox of an allowed action is told to have. */
async function demandedIn({wanted, rules = '', seen, own}: Situation): Promise<Level | undefined> {
	const tools: PolicyDocument['tools'] = wanted && {'analyst.*': {mode: 'execute', sandbox: wanted}};
	const {policies, schema} = loadDefaultPolicy();
	const document = {...BUILT_IN, ...(tools && {tools})};
	const policy = createPolicy({policies: policies + rules, schema, disabledTools: new Map(), digest, document});
	const spec = (own ? {level: own} : {}) as SandboxSpec;
	const tool = createTool({run: (_, world) => world.sandbox(spec, {} as never)});
	const run = await testKernel({tools: [tool], policy: () => policy});
	const demanded: (Level | undefined)[] = [];
	const sandboxes: Kernel['sandboxes'] = {
		level: async () => seen,
		run(permit, job, signal) {
			demanded.push(job.spec.level);
			return run.kernel.sandboxes.run(permit, job, signal);
		},
	};
	const proposal = {id: 'act_1', tool: 'analyst.echo', input: {text: 'hi'}};
	await govern(proposal, run.journal, {...run.kernel, sandboxes}, new AbortController().signal);
	return demanded[0];
}

const ISOLATED_ONLY = `
@id("isolated-only") forbid (principal, action, resource)
unless {["kernel-isolated", "vm-isolated"].contains(context.isolation)};`;

for (const [title, situation, demanded] of [
	['that wanted a level holds there only', {wanted: 'kernel-isolated', seen: 'kernel-isolated'}, 'kernel-isolated'],
	['holds in a weaker sandbox too where that would do', {wanted: 'kernel-shared', seen: 'vm-isolated'}, 'kernel-shared'],
	['that wanted nothing relies on nothing', {seen: 'vm-isolated'}, 'none'],
	['relies on what rules say of the sandbox', {rules: ISOLATED_ONLY, seen: 'vm-isolated'}, 'kernel-isolated'],
	['does not lower what its tool demands', {seen: 'vm-isolated', own: 'kernel-shared'}, 'kernel-shared'],
	['raises what its tool demands', {wanted: 'vm-isolated', seen: 'vm-isolated', own: 'kernel-shared'}, 'vm-isolated'],
	['that wanted more than there is starts no sandbox', {wanted: 'vm-isolated', seen: 'kernel-isolated'}, undefined],
] as const) {
	test(`a decision ${title}`, async () => {
		assert.equal(await demandedIn(situation), demanded);
	});
}
