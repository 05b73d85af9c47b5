/**
 * Modes, which people change at once and everywhere: of the platform, of a tenant, an agent or a tool. `observe`: nothing is written,
 * destroyed or carried out, and no run starts (src/agents/runs.ts refuses it); a tool that is observed itself does not even read.
 * `propose`: every action asks a person. `execute`: the other gates decide. Of all that apply the strictest counts.
 */
import type {GateResult, Principal} from '#contract/event.ts';
import {MODES, type Mode, type ModeReply, type ModeScope} from '#contract/mode.ts';
import type {PolicyDocument} from '#contract/policy.ts';
import {chainOf} from '#kernel/delegate.ts';
import type {Action, Gate, Policy} from '#kernel/ports.ts';
import {bestPattern} from './match.ts';
import {withQuorum} from './quorum.ts';

/** A mode and whom it is for; without anybody named for all. */
export type ModeRule = {readonly mode: Mode; readonly scope: ModeScope};

/** Who would act, and with what; without a tool only what is said of every tool counts. */
export type ModeSubject = {readonly principal: Pick<Principal, 'kind' | 'id' | 'tenant' | 'via'>; readonly tool?: string};

/**
 * The policy as it is in these modes. What a mode asks it asks as many people as the policy says. The version stays: what was approved is
 * still what was approved.
 */
export function withMode<P extends Policy & {readonly document: Pick<PolicyDocument, 'approvals'>}>(
	policy: P,
	state: Pick<ModeReply, 'mode' | 'scoped' | 'number'>,
): P {
	const gate = createModeGate([{mode: state.mode, scope: {}}, ...state.scoped]);
	const gates = gate ? [...policy.gates, withQuorum(gate, policy.document.approvals)] : policy.gates;
	return {...policy, modeNumber: state.number, gates};
}

/** Null when nobody is restricted. */
export function createModeGate(rules: readonly ModeRule[]): Gate | null {
	const strict = rules.filter(({mode}) => mode !== 'execute');
	if (strict.length === 0) return null;
	return {
		name: 'policy',
		decide(action, {principal}) {
			const {mode, applying} = modeFor(strict, {principal, tool: action.tool.name});
			if (mode === 'execute') return {gate: 'policy', effect: 'allow', rules: ['mode:execute'], reason: 'no mode restricts it'};
			const names = applying.map(({scope}) => nameOf(scope));
			const isNamed = applying.some(({scope}) => scope.tool !== undefined);
			return DECISIONS[mode](action, {rules: names.map((name) => `${name}:${mode}`), who: phraseOf(names), isNamed});
		},
	};
}

/** The strictest mode, and the rules that made it so. */
export function modeFor<R extends ModeRule>(rules: readonly R[], subject: ModeSubject): {mode: Mode; applying: readonly R[]} {
	const fitting = rules.filter(({scope}) => fits(scope, subject));
	const mode = MODES.find((each) => fitting.some((rule) => rule.mode === each)) ?? 'execute';
	return {mode, applying: fitting.filter((rule) => rule.mode === mode)};
}

export function isStricter(one: Mode, other: Mode): boolean {
	return MODES.indexOf(one) < MODES.indexOf(other);
}

/** What policy.yaml says of modes. */
export function modesOf({modes = []}: Pick<PolicyDocument, 'modes'>): readonly ModeRule[] {
	return modes.map(({mode, ...scope}) => ({mode, scope}));
}

/** Of one scope and of no other, whatever its names hold. */
export function keyOf({tenant, agent, tool}: ModeScope): string {
	return JSON.stringify([tenant ?? null, agent ?? null, tool ?? null]);
}

/** For people: `platform`, or such as `tenant:acme,tool:code.*`. */
export function nameOf({tenant, agent, tool}: ModeScope): string {
	const parts = Object.entries({tenant, agent, tool}).flatMap(([name, value]) =>
		value === undefined ? [] : [`${name}:${value}`],
	);
	return parts.join(',') || 'platform';
}

/** INVARIANT: a person is no agent, whatever their id; an agent is stopped with the one that asked it. */
function fits({tenant, agent, tool}: ModeScope, {principal, tool: asked}: ModeSubject): boolean {
	if (tenant !== undefined && tenant !== principal.tenant) return false;
	if (agent !== undefined && !chainOf(principal).some(({kind, id}) => kind !== 'user' && id === agent)) return false;
	return tool === undefined || (asked !== undefined && bestPattern(asked, [tool]) !== undefined);
}

/** `isNamed`: the mode is the tool's own, and not that of all there is. */
type Ground = {readonly rules: string[]; readonly who: string; readonly isNamed: boolean};

const DECISIONS: Readonly<Record<Exclude<Mode, 'execute'>, (action: Action, ground: Ground) => GateResult>> = {
	observe(action, {rules, who, isNamed}) {
		if (!isNamed && isHarmless(action))
			return {gate: 'policy', effect: 'allow', rules, reason: `${who} is stopped; reading what is here is all there is`};
		return {gate: 'policy', effect: 'deny', rules, reason: `${who} is stopped: nothing is changed and nothing leaves it`};
	},
	propose: (_action, {rules, who}) => ({
		...{gate: 'policy', effect: 'ask', rules},
		reason: `${who} proposes only: a person decides on every action`,
	}),
};

function phraseOf([first = 'platform']: readonly string[]): string {
	return first === 'platform' ? 'the platform' : `\`${first}\``;
}

/** INVARIANT: a tool that cannot say where it reaches denies, as every gate that throws does. */
function isHarmless({tool, input}: Action): boolean {
	return tool.effect === 'read' && tool.egress !== true && (tool.destinations?.(input) ?? []).length === 0;
}
