import type {Gate} from '#kernel/ports.ts';

/** Denies tools that configuration has switched off. `disabled` maps a tool's name to how it is switched on. */
export function createSwitchGate(disabled: ReadonlyMap<string, string>): Gate {
	return {
		name: 'policy',
		decide({tool}) {
			const rules = [`feature:${tool.name}`];
			const remedy = disabled.get(tool.name);
			if (remedy === undefined) return {gate: 'policy', effect: 'allow', rules, reason: 'the tool is switched on'};
			return {gate: 'policy', effect: 'deny', rules, reason: `\`${tool.name}\` is switched off on this server; ${remedy}`};
		},
	};
}
