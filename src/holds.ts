/** Holds: what must not be erased, whoever asks. Each is placed and released by an event in a run of its own. */
import {randomBytes} from 'node:crypto';
import {type Ports, recordAlone} from '#agents/audit-record.ts';
import {WritError} from '#contract/errors.ts';
import type {EventBody, EventData, Origin, Principal} from '#contract/event.ts';
import type {Hold, HoldRequest} from '#contract/retention.ts';
import type {Store} from '#kernel/ports.ts';
import type {HoldRow} from '#kernel/retention-store.ts';
import {personOf} from '#kernel/tally.ts';

export type Holds = {
	list(tenant: string): Promise<readonly Hold[]>;
	/** Throws `not_found` for a run that the tenant does not have, `forbidden` for who is no person. */
	place(request: HoldRequest, by: Principal, origin?: Origin): Promise<Hold>;
	/** Where there are several people, the first asks and another releases. Throws `not_found`, `forbidden` or `conflict`. */
	release(holdId: string, reason: string, caller: {readonly by: Principal; readonly origin?: Origin | undefined}): Promise<Hold>;
};

type Options = Ports & {
	readonly store: Pick<Store, 'retention' | 'run'>;
	/** whether a release in this tenant takes two people */
	readonly needsSecond: (tenant: string) => boolean;
};

export function createHolds(options: Options): Holds {
	const {store, needsSecond} = options;
	const find = async (holdId: string, tenant: string): Promise<HoldRow> => {
		const row = (await store.retention.holds(tenant)).find((each) => each.holdId === holdId);
		if (row) return row;
		throw new WritError('not_found', `there is no hold \`${holdId}\``, {hint: 'list them with `writ hold list`'});
	};
	const record = (body: EventBody) => recordAlone('hold', body, options);
	return {
		list: async (tenant) => (await store.retention.holds(tenant)).map(toHold),
		async place({kind, target, reason}, by, origin) {
			assertPerson(by);
			const named = kind === 'tenant' ? by.tenant : target;
			if (kind === 'tenant' && target !== '' && target !== by.tenant)
				throw new WritError('not_found', `there is no tenant \`${target}\` that is yours`);
			if (named === '') throw new WritError('validation_error', `name the ${kind} to hold`);
			if (kind === 'run' && (await store.run(named))?.tenant !== by.tenant)
				throw new WritError('not_found', `there is no run \`${named}\``, {hint: 'list them with `writ runs`'});
			const holdId = `hld_${randomBytes(8).toString('hex')}`;
			const data = {holdId, kind, target: named, reason, ...(origin ? {origin} : {})};
			await record({type: 'hold.placed', actor: by, data});
			return toHold(await find(holdId, by.tenant));
		},
		async release(holdId, reason, {by, origin}) {
			assertPerson(by);
			const row = await find(holdId, by.tenant);
			if (row.state === 'released') throw new WritError('conflict', `hold \`${holdId}\` was released already`);
			const from = {holdId, reason, ...(origin ? {origin} : {})};
			const body = releaseOf(row, {needsSecond: needsSecond(row.tenant), by, from});
			if (body) await record(body);
			return toHold(await find(holdId, by.tenant));
		},
	};
}

type Wish = {readonly needsSecond: boolean; readonly by: Principal; readonly from: EventData<'hold.release-asked'>};

/** Null when the same person asks again. */
function releaseOf({state, askedBy, askReason, tenant}: HoldRow, {needsSecond, by, from}: Wish): EventBody | null {
	if (!needsSecond) return {type: 'hold.released', actor: by, data: {...from, asked: null}};
	if (askedBy === null || state === 'held') return {type: 'hold.release-asked', actor: by, data: from};
	const asked = {by: personNamed(askedBy, tenant), reason: askReason ?? ''};
	return askedBy === personOf(by) ? null : {type: 'hold.released', actor: by, data: {...from, asked}};
}

function personNamed(id: string, tenant: string): Principal {
	return {kind: 'user', id, tenant};
}

function assertPerson(by: Principal): void {
	if (by.kind !== 'user') throw new WritError('forbidden', 'only a person may place or release a hold');
}

function toHold({tenant: _, ...row}: HoldRow): Hold {
	return row;
}
