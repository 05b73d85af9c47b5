import type {Principal} from '#contract/event.ts';

/** An agent of the platform at work for a caller: it has what the caller has, and no more. */
export function agentFor({kind, id: asker, tenant, roles, tools}: Principal, id: string): Principal {
	const via = kind === 'user' ? {} : {via: {kind, id: asker}};
	return {kind: 'agent', id, tenant, ...(roles && {roles}), ...(tools && {tools}), ...via};
}

/** The humans who stand behind an actor: the person itself, or who answers for a token of an agent or a service. */
export function isBehind(human: Principal, actor: Principal): boolean {
	if (human.kind !== 'user' || human.tenant !== actor.tenant) return false;
	const person = actor.kind === 'user' ? (actor.person ?? actor.id) : actor.person;
	return person === (human.person ?? human.id);
}
