import type {GateResult} from '#contract/event.ts';
import type {Action, Gate} from '#kernel/ports.ts';

/**
 * Information flow: what a run has read bounds what it may do next. Assumes a model that obeys every instruction it reads, so
 * after untrusted input an agent's write is a stranger's wish, and after a secret nothing may carry it out.
 */
export const flowGate: Gate = {
	name: 'flow',
	decide(action, {principal, run}) {
		if (leaves(action) && run.labels.has('secret')) {
			return answer('deny', 'secret-stays', 'this run has read a secret, so nothing may leave it; do this in a run of its own');
		}
		const changes = action.tool.effect !== 'read';
		if (changes && principal.kind !== 'user' && run.labels.has('untrusted')) {
			return answer(
				'ask',
				'untrusted-run',
				'this run has read data that could hold instructions, so a person decides on changes',
			);
		}
		return answer('allow', 'flow', 'nothing the run has read forbids this');
	},
};

/** Whatever changes something outside the run can carry out what the run knows; so can a read tool that says so, and code with a network. */
function leaves({tool, input}: Action): boolean {
	return tool.effect !== 'read' || tool.egress === true || (tool.destinations?.(input) ?? []).length > 0;
}

function answer(effect: GateResult['effect'], rule: string, reason: string): GateResult {
	return {gate: 'flow', effect, rules: [rule], reason};
}
