/**
 * What a tenant keeps on disk. Pure, and the same for every implementation: they load the state under a lock, ask here, and write the
 * answer in the same transaction.
 */
import type {Kysely} from 'kysely';
import {WritError} from '#contract/errors.ts';
import type {QuotaStore, StorageChange, StorageHold, StorageState, WindowUse} from '#kernel/quota-store.ts';
import {storable} from './project.ts';
import type {Tables} from './schema.ts';
import type {Ledger} from './spend.ts';

export type StorageTable = {tenant: string; kept: number; changes: number};
export type StorageHoldTable = {hold_id: string; tenant: string; holder: string; bytes: number; held_until: string};

export const NOTHING_STORED: StorageState = {kept: 0, holds: [], changes: 0};

export const STORAGE_HOLD_ROW = ['hold_id as holdId', 'holder', 'bytes', 'held_until as until'] as const;

/** The state after a change; null when it does not apply. Throws `budget_exceeded`, and then nothing may be written. */
export function storageAfter(state: StorageState, change: StorageChange): StorageState | null {
	const {kept, holds} = state;
	const changes = state.changes + 1;
	switch (change.kind) {
		case 'hold': {
			const {holdId, holder, bytes, until} = change;
			const others = holds.filter((hold) => hold.holdId !== holdId);
			assertRoom(change, kept, sumOf(others));
			return {kept, changes, holds: [...others, {holdId, holder, bytes, until}]};
		}
		case 'settle':
			return {kept: Math.max(0, kept + change.change), changes, holds: holds.filter(({holdId}) => holdId !== change.holdId)};
		case 'count': {
			const isMoot = state.changes !== change.seen || holds.some(({holdId}) => !change.gone.includes(holdId));
			return isMoot ? null : {kept: change.kept, changes, holds: []};
		}
	}
}

/** INVARIANT: what is asked is whether there is room, so that an amount that is not a number is refused. */
function assertRoom({bytes, limit}: Extract<StorageChange, {kind: 'hold'}>, used: number, reserved: number): void {
	if (bytes >= 0 && used + reserved + bytes <= limit) return;
	throw new WritError(
		'budget_exceeded',
		`the tenant may keep ${limit} bytes: ${used} are kept, ${reserved} are reserved, and this would take ${bytes} more`,
		{
			hint: 'ask whoever keeps policy.yaml to raise `budgets.tenant.storage`, or to keep files for fewer days',
			details: {budget: 'tenant:storage', limit, used, reserved, wants: bytes},
		},
	);
}

function sumOf(holds: readonly StorageHold[]): number {
	return holds.reduce((sum, {bytes}) => sum + bytes, 0);
}

export function windowUse({uses, reservations}: Ledger, window: string): WindowUse {
	const use = uses.find((row) => row.window === window);
	const held = reservations.filter((row) => row.window === window);
	const reserved = (name: 'tokens' | 'costMicros' | 'bytes') => held.reduce((sum, row) => sum + row[name], 0);
	const amounts = {tokens: reserved('tokens'), costMicros: reserved('costMicros'), bytes: reserved('bytes'), runs: 0};
	return {
		used: {
			runs: use?.runs ?? 0,
			tokens: (use?.tokens ?? 0) - amounts.tokens,
			costMicros: (use?.costMicros ?? 0) - amounts.costMicros,
			bytes: (use?.bytes ?? 0) - amounts.bytes,
		},
		reserved: amounts,
		open: reservations.length,
	};
}

/** The same queries on every database; how a change is written differs. */
export function createQuotaReads(db: Kysely<Tables>): Omit<QuotaStore, 'change'> {
	return {
		stored: async (tenant) => loadStorage(db, storable(tenant)),
		async spent(tenant, window) {
			const own = storable(tenant);
			const used = db.selectFrom('uses').selectAll().where('tenant', '=', own).where('window_start', '=', window);
			const held = db.selectFrom('reservations').selectAll().where('tenant', '=', own);
			const [uses, reservations] = [await used.execute(), await held.execute()];
			return windowUse(
				{
					uses: uses.map(({window_start, cost_micros, ...row}) => ({...row, window: window_start, costMicros: cost_micros})),
					reservations: reservations.map(({run_id, window_start, cost_micros, ...row}) => {
						return {...row, runId: run_id, window: window_start, costMicros: cost_micros};
					}),
				},
				window,
			);
		},
	};
}

export async function loadStorage(db: Kysely<Tables>, tenant: string): Promise<StorageState> {
	const row = await db.selectFrom('storage').select(['kept', 'changes']).where('tenant', '=', tenant).executeTakeFirst();
	const holds = await db.selectFrom('storage_holds').select(STORAGE_HOLD_ROW).where('tenant', '=', tenant).execute();
	return {kept: row?.kept ?? 0, changes: row?.changes ?? 0, holds};
}
