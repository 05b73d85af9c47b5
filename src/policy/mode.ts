/**
 * The mode of the whole platform, which people change at once and everywhere. `observe`: nothing is written, destroyed or carried out,
 * and no run starts (src/agents/runs.ts refuses it). `propose`: every action asks a person. `execute`: the other gates decide.
 */
import type {GateResult} from '#contract/event.ts';
import type {Mode} from '#contract/mode.ts';
import type {Action, Gate, Policy} from '#kernel/ports.ts';

/** The policy as it is in this mode; the same one in `execute`. Its version stays: what was approved is still what was approved. */
export function withMode<P extends Policy>(policy: P, mode: Mode): P {
	return mode === 'execute' ? policy : {...policy, gates: [...policy.gates, GATES[mode]]};
}

const GATES: Readonly<Record<Exclude<Mode, 'execute'>, Gate>> = {
	observe: {
		name: 'policy',
		decide(action) {
			if (isHarmless(action)) return answer('allow', 'observe', 'the platform is stopped; reading what is here is all there is');
			return answer('deny', 'observe', 'the platform is stopped: nothing is changed and nothing leaves it');
		},
	},
	propose: {
		name: 'policy',
		decide: () => answer('ask', 'propose', 'the platform proposes only: a person decides on every action'),
	},
};

/** INVARIANT: a tool that cannot say where it reaches denies, as every gate that throws does. */
function isHarmless({tool, input}: Action): boolean {
	return tool.effect === 'read' && tool.egress !== true && (tool.destinations?.(input) ?? []).length === 0;
}

function answer(effect: GateResult['effect'], mode: Mode, reason: string): GateResult {
	return {gate: 'policy', effect, rules: [`platform:${mode}`], reason};
}
