import {type EventBody, type Verdict, verdictSchema} from '#contract/event.ts';
import {type EffectRecord, type Outcome, toOutcome, untilAborted} from './execute.ts';
import {revokePermit} from './permit.ts';
import type {Journal, Kernel} from './ports.ts';

/**
 * Observes the world after a successful effect, undoes what failed its post-condition where the tool can, and records outcome and
 * verdict in one transaction. A tool without a post-condition is `unverified`, never `verified`.
 */
export async function verify(effect: EffectRecord, journal: Journal, kernel: Kernel): Promise<Outcome> {
	const actor = journal.principal;
	try {
		const outcome: EventBody = {type: 'action.outcome', actor, data: effect.data};
		if (effect.data.status !== 'succeeded') {
			revokePermit(effect.permit); // a tool that ignored its end may still be running
			await journal.append(outcome);
			return toOutcome(effect.data, null);
		}
		const verdict = await observe(effect, kernel);
		await journal.append(outcome, {type: 'action.verified', actor, data: {actionId: effect.action.id, verdict}});
		return toOutcome(effect.data, verdict);
	} finally {
		revokePermit(effect.permit);
		effect.deadline[Symbol.dispose]();
	}
}

async function observe({action, data, world}: EffectRecord, kernel: Kernel): Promise<Verdict> {
	const {tool, input} = action;
	const output = data.output as never;
	const verdict = await guarded('post-condition', kernel, async () => {
		const checked = tool.verify?.(input as never, output, world);
		return checked ? await untilAborted(checked, world.signal) : NOTHING_CHECKED;
	});
	const failed = verdict.checks.some((check) => !check.passed);
	if (!failed) return verdict.checks.length > 0 ? verdict : NOTHING_CHECKED;
	if (!tool.undo) return {...verdict, kind: 'unverified'};
	return guarded('undo', kernel, async () => {
		await tool.undo?.(input as never, output, world);
		return {kind: 'undone', checks: [...verdict.checks, {name: 'undo', passed: true, detail: 'the effect was undone'}]};
	});
}

const NOTHING_CHECKED: Verdict = {kind: 'unverified', checks: []};

/** The effect has happened: a verifier that throws must not hide it, so it counts as a failed check. */
async function guarded(name: string, kernel: Kernel, work: () => Promise<Verdict>): Promise<Verdict> {
	try {
		return verdictSchema.parse(kernel.redact(await work()).value);
	} catch (bug) {
		kernel.report(bug);
		return {kind: 'unverified', checks: [{name, passed: false, detail: 'it failed to run'}]};
	}
}
