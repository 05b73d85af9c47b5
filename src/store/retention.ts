import {type Kysely, sql} from 'kysely';
import type {ErasableRow, ErasureRow, HoldRow, RetentionStore} from '#kernel/retention-store.ts';
import {assertLimit} from './filter.ts';
import type {Execute} from './identity.ts';
import {createLegalHold} from './legal-hold.ts';
import {storable} from './project.ts';
import {HOLDS_RUN} from './retain.ts';
import type {Tables} from './schema.ts';

export type HoldTable = {
	hold_id: string;
	tenant: string;
	kind: HoldRow['kind'];
	target: string;
	reason: string;
	placed_by: string;
	placed_at: string;
	state: HoldRow['state'];
	asked_by: string | null;
	ask_reason: string | null;
	released_by: string | null;
	released_at: string | null;
	release_reason: string | null;
};

export type ErasureTable = {
	run_id: string;
	by_run_id: string;
	at: string;
	rule: string;
	bytes_before: number;
	bytes_after: number;
};

const HOLD_ROW = [
	...(['hold_id as holdId', 'tenant', 'kind', 'target', 'reason', 'placed_by as placedBy', 'placed_at as placedAt'] as const),
	...(['state', 'asked_by as askedBy', 'ask_reason as askReason', 'released_by as releasedBy'] as const),
	...(['released_at as releasedAt', 'release_reason as releaseReason'] as const),
] as const;

const ERASURE_ROW = [
	...(['run_id as runId', 'by_run_id as byRunId', 'at', 'rule'] as const),
	...(['bytes_before as bytesBefore', 'bytes_after as bytesAfter'] as const),
] as const;

/** The name of the migration since which the files that runs name are known. */
const KNOWN_SINCE = 'holds and erasures';

/** The same statements on every database; only how one is written differs. */
export function createRetentionStore(db: Kysely<Tables>, execute: Execute): RetentionStore {
	return {
		async holds(tenant) {
			const all = db.selectFrom('holds').select(HOLD_ROW);
			const own = tenant === null ? all : all.where('tenant', '=', storable(tenant));
			return own.orderBy('placed_at', 'desc').orderBy('hold_id', 'desc').execute();
		},
		async erasure(runId) {
			const row = await db.selectFrom('erasures').select(ERASURE_ROW).where('run_id', '=', storable(runId)).executeTakeFirst();
			return row ? toErasure(row) : null;
		},
		async erasable({tenant, before, after, limit}) {
			const {rows} = await sql<ErasableRow>`SELECT r.run_id AS "runId", r.tenant, r.job, r.thread_id AS "threadId",
				r.finished_at AS "finishedAt", (SELECT sum(length(e.event)) FROM events e WHERE e.run_id = r.run_id) AS bytes
				FROM runs r WHERE r.finished_at < ${before} AND (r.job <> 'system' OR r.dataset_id IS NOT NULL)
				AND (r.finished_at, r.run_id) > (${after?.finishedAt ?? ''}, ${after?.runId ?? ''})
				AND ${tenant === null ? sql`true` : sql`r.tenant = ${storable(tenant)}`}
				AND NOT EXISTS (SELECT 1 FROM erasures WHERE erasures.run_id = r.run_id)
				AND NOT EXISTS (SELECT 1 FROM holds WHERE ${sql.raw(HOLDS_RUN)})
				AND EXISTS (SELECT 1 FROM events f WHERE f.run_id = r.run_id AND f.seq = 1 AND f.event LIKE ${'%"v":2%'})
				ORDER BY r.finished_at, r.run_id LIMIT ${assertLimit(limit)}`.execute(db);
			return rows.map((row) => ({...row, bytes: Number(row.bytes)}));
		},
		holdListed: createLegalHold({
			read: async () => (await db.selectFrom('legal_hold').select('targets').executeTakeFirstOrThrow()).targets,
			swap: async (before, targets) =>
				(await execute(db.updateTable('legal_hold').set({targets}).where('targets', '=', before).compile())) === 1,
		}),
		async isCited(tenant, sha256) {
			const named = db.selectFrom('citations').select('run_id').where('tenant', '=', storable(tenant));
			const file = await named.where('sha256', '=', storable(sha256)).limit(1).executeTakeFirst();
			if (file) return true;
			const snapshot = db.selectFrom('runs').select('run_id').where('tenant', '=', storable(tenant));
			return (await snapshot.where('dataset_hash', '=', storable(sha256)).limit(1).executeTakeFirst()) !== undefined;
		},
		async isUsed(tenant, datasetId, hash) {
			const {rows} = await sql`SELECT 1 FROM runs r WHERE r.tenant = ${storable(tenant)} AND r.dataset_id = ${storable(datasetId)}
				AND r.dataset_hash = ${hash} AND NOT EXISTS (SELECT 1 FROM erasures WHERE erasures.run_id = r.run_id) LIMIT 1`.execute(
				db,
			);
			return rows.length > 0;
		},
		async tenants() {
			return (await db.selectFrom('runs').select('tenant').distinct().execute()).map(({tenant}) => tenant);
		},
		async citedSince() {
			const step = db.selectFrom('migrations').select('applied_at').where('name', '=', KNOWN_SINCE);
			return (await step.executeTakeFirstOrThrow()).applied_at;
		},
		async forget() {},
		async lease(name, holder, now, leaseMs) {
			const until = new Date(now.getTime() + leaseMs).toISOString();
			const mine = db.insertInto('leases').values({name, holder, until});
			const merged = mine.onConflict((found) =>
				found
					.column('name')
					.doUpdateSet({holder, until})
					.where(({eb, or}) => or([eb('leases.until', '<=', now.toISOString()), eb('leases.holder', '=', holder)])),
			);
			return (await execute(merged.compile())) === 1;
		},
	};
}

function toErasure(row: ErasureRow): ErasureRow {
	return {...row, bytesBefore: Number(row.bytesBefore), bytesAfter: Number(row.bytesAfter)};
}

/** Of a store that lives as long as its process: nothing in it grows old. */
export const NO_RETENTION: RetentionStore = {
	holds: async () => [],
	holdListed: async () => {},
	erasure: async () => null,
	erasable: async () => [],
	forget: async () => {},
	isCited: async () => true,
	isUsed: async () => true,
	tenants: async () => [],
	citedSince: async () => '9999',
	lease: async () => true,
};
