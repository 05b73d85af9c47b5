import {AsyncLocalStorage} from 'node:async_hooks';
import type {EventBody, EventType, Origin} from '#contract/event.ts';

/** From where the request came that is being answered; nothing where the platform acts by itself. */
const requests = new AsyncLocalStorage<Origin>();

/** Whatever `work` puts on record, and whatever it starts does, came from there. */
export function asRequest<T>(origin: Origin, work: () => T): T {
	return requests.run(origin, work);
}

/** Of the request that is being answered now; for what is carried on elsewhere. */
export function currentOrigin(): Origin | undefined {
	return requests.getStore();
}

/** What somebody asks for, as against what follows from it. */
const ASKED: ReadonlySet<EventType> = new Set([
	...(['run.started', 'mode.changed', 'policy.changed', 'audit.recorded'] as const),
	...(['approval.granted', 'approval.rejected', 'approval.revoked', 'approval.commented', 'approval.delegated'] as const),
	...(['hold.placed', 'hold.release-asked', 'hold.released'] as const),
]);

/** The data of an event that somebody asked for, with where they did. */
export function withOrigin({type, data}: EventBody): EventBody['data'] {
	const origin = ASKED.has(type) ? requests.getStore() : undefined;
	return origin === undefined || 'origin' in data ? data : ({...data, origin} as EventBody['data']);
}
