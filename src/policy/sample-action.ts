import {createHash} from 'node:crypto';
import {z} from 'zod';
import type {Effect, Label, Principal} from '#contract/event.ts';
import type {Action, Facts} from '#kernel/ports.ts';
import {createPolicy, loadDefaultPolicy, type PolicyOptions} from './policy.ts';

/** Actions, facts and policies for tests and benchmarks: whatever is not said is harmless. */
export function sampleAction(action: Partial<Action> = {}, tool: Partial<Action['tool']> = {}): Action {
	const resource = action.resource ?? {type: 'Dataset', id: 'support'};
	return {
		id: 'act_1',
		tool: {...SAMPLE_TOOL, ...tool},
		input: {},
		inputDigest: 'a'.repeat(64),
		risk: 'low',
		...action,
		resource,
	};
}

const SAMPLE_TOOL: Action['tool'] = {
	name: 'analyst.sql',
	version: '1',
	title: 'A tool',
	description: 'A tool for tests',
	input: z.unknown(),
	output: z.unknown(),
	effect: 'read' satisfies Effect,
	risk: 'low',
	idempotent: true,
	labels: [],
	limits: {wallMs: 1_000, maxRows: 100, maxBytes: 100_000},
	resource: () => ({type: 'Dataset', id: 'support'}),
	run: async () => null,
};

export const NOW = new Date('2026-01-05T10:00:00.000Z');

export function sampleFacts(run: Partial<Facts['run']> = {}, principal: Partial<Principal> = {}): Facts {
	return {
		principal: {kind: 'user', id: 'ada', tenant: 'local', ...principal},
		now: NOW,
		isolation: 'kernel-shared',
		run: {
			id: 'run_1',
			startedAt: NOW,
			waitedMs: 0,
			actions: 0,
			tokens: 0,
			costUsd: 0,
			...{calls: 0, retries: 0, bytes: 0, steps: []},
			labels: new Set<Label>(),
			scope: 'support',
			budget: {actions: 12, tokens: 1_000, costUsd: 1, wallMs: 60_000},
			...run,
		},
	};
}

export function sampleDigest(value: unknown): string {
	return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** The default policy, or the default schema with other policies. */
export function samplePolicy(options: Partial<PolicyOptions> = {}): ReturnType<typeof createPolicy> {
	const rest = {disabledTools: new Map<string, string>(), digest: sampleDigest};
	return createPolicy({...loadDefaultPolicy(), ...rest, ...options});
}
