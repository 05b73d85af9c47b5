import {type Kysely, type SelectQueryBuilder, sql} from 'kysely';
import type {RunRow, Store} from '#kernel/ports.ts';
import {listAudit, parseAuditFilter, toAuditPage} from './audit.ts';
import {assertLimit, type Filter, parseFilter, toPage, toPattern} from './filter.ts';
import {storable, toInstant} from './project.ts';
import {APPROVAL_ROW, MESSAGE_ROW, MOST_OVERDUE, RUN_ROW, type Tables, THREAD_ROW} from './schema.ts';
import {parseRows, toRaw} from './stored-event.ts';

type Queries = Pick<
	Store,
	| 'read'
	| 'rawEvents'
	| 'head'
	| 'heads'
	| 'headPosition'
	| 'holders'
	| 'run'
	| 'runs'
	| 'audit'
	| 'messages'
	| 'threads'
	| 'approval'
	| 'approvals'
	| 'grants'
	| 'overdue'
>;

/** The reading half of a store: the same queries on every database. INVARIANT: a query that lists rows for people names the tenant. */
export function createQueries(db: Kysely<Tables>): Queries {
	const events = (runId: string, after: number) =>
		db
			.selectFrom('events')
			.select(['seq', 'event'])
			.where('run_id', '=', storable(runId))
			.where('seq', '>', after)
			.orderBy('seq')
			.execute();
	return {
		holders: () => listHolders(db),
		read: async (runId, after = 0) => parseRows(runId, after, await events(runId, after)),
		rawEvents: async (runId) => (await events(runId, 0)).map(toRaw),
		async head(runId) {
			const row = await db.selectFrom('heads').select('head').where('run_id', '=', storable(runId)).executeTakeFirst();
			return row ? JSON.parse(row.head) : null;
		},
		async heads(from, limit) {
			const rows = db.selectFrom('heads').select('head').where('position', '>=', from).orderBy('position');
			return (await rows.limit(assertLimit(limit)).execute()).map(({head}) => JSON.parse(head));
		},
		async headPosition(runId) {
			const row = db.selectFrom('heads').select('position').where('run_id', '=', storable(runId));
			return (await row.executeTakeFirst())?.position ?? null;
		},
		async run(runId) {
			const row = await db.selectFrom('runs').select(RUN_ROW).where('run_id', '=', storable(runId)).executeTakeFirst();
			return row ?? null;
		},
		async runs(filter) {
			const parsed = parseFilter(filter);
			return toPage(await listRuns(db, parsed), parsed.limit);
		},
		async audit(filter) {
			const query = parseAuditFilter(filter);
			return toAuditPage(await listAudit(db, query), query.limit);
		},
		async messages(tenant, threadId, limit) {
			assertLimit(limit);
			const latest = await db
				.selectFrom('messages')
				.select(MESSAGE_ROW)
				.where('tenant', '=', storable(tenant))
				.where('thread_id', '=', storable(threadId))
				.orderBy('id', 'desc')
				.limit(limit)
				.execute();
			return latest.reverse();
		},
		async threads(tenant, limit) {
			assertLimit(limit);
			const newest = db.selectFrom('threads').select(THREAD_ROW).where('tenant', '=', storable(tenant));
			return newest.orderBy('updated_at', 'desc').orderBy('thread_id', 'desc').limit(limit).execute();
		},
		async approval(approvalId) {
			const found = db.selectFrom('approvals').select(APPROVAL_ROW).where('approval_id', '=', storable(approvalId));
			return (await found.executeTakeFirst()) ?? null;
		},
		async approvals(tenant, state) {
			const all = db.selectFrom('approvals').select(APPROVAL_ROW);
			const rows = tenant === null ? all : all.where('tenant', '=', storable(tenant));
			const wanted = state ? rows.where('state', '=', state) : rows;
			return wanted.orderBy('requested_at').orderBy('approval_id').execute();
		},
		async grants(tenant, person, since) {
			const given = db.selectFrom('grants').select(({fn}) => fn.countAll().as('count'));
			const own = given.where('tenant', '=', storable(tenant)).where('person', '=', storable(person));
			return Number((await own.where('at', '>=', toInstant(since)).executeTakeFirstOrThrow()).count);
		},
		async overdue(now) {
			const waiting = db.selectFrom('approvals').select(APPROVAL_ROW).where('state', '=', 'pending');
			return waiting.where('escalate_at', '<=', now.toISOString()).orderBy('escalate_at').limit(MOST_OVERDUE).execute();
		},
	};
}

async function listHolders(db: Kysely<Tables>): Promise<string[]> {
	const rows = db.selectFrom('runs').select('holder').distinct().where('status', '=', 'running');
	return (await rows.execute()).map(({holder}) => holder);
}

/** One row more than the page holds, which tells whether there is a next page. */
function listRuns(db: Kysely<Tables>, filter: Filter): Promise<RunRow[]> {
	const all = db.selectFrom('runs').select(RUN_ROW).where('tenant', '=', filter.tenant);
	return narrow(all, filter)
		.orderBy('created_at', 'desc')
		.orderBy('run_id', 'desc')
		.limit(filter.limit + 1)
		.execute();
}

function narrow(query: SelectQueryBuilder<Tables, 'runs', RunRow>, filter: Filter) {
	const {job, status, datasetId, threadId, mode, text, since, until, position} = filter;
	let narrowed = query;
	if (job) narrowed = narrowed.where('job', '=', job);
	if (status) narrowed = narrowed.where('status', '=', status);
	if (datasetId) narrowed = narrowed.where('dataset_id', '=', datasetId);
	if (threadId) narrowed = narrowed.where('thread_id', '=', threadId);
	if (mode) narrowed = narrowed.where('mode', '=', mode);
	if (since) narrowed = narrowed.where('created_at', '>=', since);
	if (until) narrowed = narrowed.where('created_at', '<', until);
	if (text) narrowed = narrowed.where(sql<boolean>`question_folded LIKE ${toPattern(text)} ESCAPE '!'`);
	if (position)
		narrowed = narrowed.where(({eb, refTuple, tuple}) =>
			eb(refTuple('created_at', 'run_id'), '<', tuple(position.createdAt, position.runId)),
		);
	return narrowed;
}
