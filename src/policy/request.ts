import type {CedarValueJson, EntityJson, TypeAndId} from '@cedar-policy/cedar-wasm/nodejs';
import type {Principal} from '#contract/event.ts';
import {ROLES} from '#contract/identity.ts';
import type {Action, Facts} from '#kernel/ports.ts';
import {bestPattern} from './match.ts';

/** What is asked of Cedar. `context` has no `scope` when the run is not confined: Cedar knows no null. */
export type Request = {
	readonly principal: TypeAndId;
	readonly action: TypeAndId;
	readonly resource: TypeAndId;
	readonly context: Readonly<Record<string, CedarValueJson>>;
};

const TYPES: Readonly<Record<Principal['kind'], string>> = {
	user: 'User',
	agent: 'Agent',
	schedule: 'Schedule',
	service: 'Service',
};

export function toRequest(action: Action, facts: Facts): Request {
	const {principal, run} = facts;
	const {type, id} = action.resource;
	return {
		principal: {type: TYPES[principal.kind], id: principal.id},
		action: {type: 'Action', id: action.tool.name},
		resource: {type, id},
		context: {
			effect: action.tool.effect,
			risk: action.risk,
			tenant: principal.tenant,
			...(run.scope === null ? {} : {scope: run.scope}),
			inScope: run.scope === null || run.scope === id,
			untrusted: run.labels.has('untrusted'),
			isolation: facts.isolation,
			tokenCovers: principal.tools === undefined || bestPattern(action.tool.name, principal.tools) !== undefined,
			hosts: [...(action.tool.destinations?.(action.input) ?? [])],
		},
	};
}

export function toPrincipalEntity({kind, id, tenant, roles = [...ROLES]}: Principal): EntityJson {
	return {uid: {type: TYPES[kind], id}, attrs: {tenant}, parents: roles.map((role) => ({type: 'Role', id: role}))};
}

/** The groups a tool belongs to by what it is: its effect, and its job and effect. */
export function groupsOf({name, effect}: Action['tool']): readonly string[] {
	return [effect, `${name.split('.', 1)[0]}:${effect}`];
}

/** Names that only groups may have; a tool called `read` would be in the group of all read tools by its name alone. */
export function isReservedName(name: string): boolean {
	return name.includes(':') || name === 'read' || name === 'write' || name === 'destructive';
}

const UNCONFINED = {
	...{
		effect: 'read',
		risk: 'low',
		tenant: 'local',
		inScope: true,
		untrusted: false,
		isolation: 'kernel-shared',
		tokenCovers: true,
	},
	hosts: ['api.example.com'],
};

/** Every shape a context can have. */
export const CONTEXT_SAMPLES: readonly Request['context'][] = [UNCONFINED, {...UNCONFINED, scope: 'support'}];

export const PRINCIPAL_SAMPLES: readonly EntityJson[] = (['user', 'agent', 'schedule', 'service'] as const).map((kind) =>
	toPrincipalEntity({kind, id: 'sample', tenant: 'local'}),
);
