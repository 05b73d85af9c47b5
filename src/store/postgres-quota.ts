import {type Kysely, sql} from 'kysely';
import type {StorageChange} from '#kernel/quota-store.ts';
import {storable} from './project.ts';
import {loadStorage, storageAfter} from './quota.ts';
import type {Tables} from './schema.ts';

/** INVARIANT: whoever looks at what a tenant keeps holds the lock of that tenant until what it writes is committed. */
export async function changeStorage(db: Kysely<Tables>, change: StorageChange): Promise<boolean> {
	const tenant = storable(change.tenant);
	return db.transaction().execute(async (tx) => {
		await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`storage of ${tenant}`}, 0))`.execute(tx);
		const {holds, ...state} = await loadStorage(tx, tenant);
		const after = storageAfter({...state, holds}, change);
		if (!after) return false;
		const row = {kept: after.kept, changes: after.changes};
		const save = tx.insertInto('storage').values({tenant, ...row});
		await save.onConflict((conflict) => conflict.column('tenant').doUpdateSet(row)).execute();
		const removed = holds.filter((hold) => !after.holds.includes(hold)).map(({holdId}) => holdId);
		if (removed.length > 0) await tx.deleteFrom('storage_holds').where('hold_id', 'in', removed).execute();
		const added = after.holds.filter((hold) => !holds.includes(hold));
		const rows = added.map(({holdId, holder, bytes, until}) => ({hold_id: holdId, tenant, holder, bytes, held_until: until}));
		if (rows.length > 0) await tx.insertInto('storage_holds').values(rows).execute();
		return true;
	});
}
