import type {Principal} from '#contract/event.ts';

/** An agent of the platform at work for a caller: it has what the caller has, and no more. */
export function agentFor({kind, id: asker, tenant, roles, tools, via}: Principal, id: string): Principal {
	return {kind: 'agent', id, tenant, ...(roles && {roles}), ...(tools && {tools}), via: {kind, id: asker, ...(via && {via})}};
}

/** An actor and all for whom it acts, one by one. */
export function chainOf({via, ...actor}: Principal): readonly Principal[] {
	return via ? [actor, ...chainOf({...actor, ...via})] : [actor];
}

/** No agent, schedule or service has a part in what it does. */
export function isPerson(actor: Principal): boolean {
	return chainOf(actor).every(({kind}) => kind === 'user');
}

/** An actor that may do only what `other` may do as well. */
export function confinedTo(actor: Principal, other: Principal): Principal {
	const all = [...chainOf(actor), ...chainOf(other)];
	const [, ...behind] = Map.groupBy(all, ({kind, id}) => JSON.stringify([kind, id])).values();
	const via = behind.reduceRight<Principal['via']>((next, [{kind, id, roles} = other]) => {
		return {kind, id, ...(roles && {roles}), ...(next && {via: next})};
	}, undefined);
	return {...actor, ...(via && {via})};
}

/** The humans who stand behind an actor: the person itself, or who answers for a token of an agent or a service. */
export function isBehind(human: Principal, actor: Principal): boolean {
	if (human.kind !== 'user' || human.tenant !== actor.tenant) return false;
	const person = actor.kind === 'user' ? (actor.person ?? actor.id) : actor.person;
	return person === (human.person ?? human.id);
}
