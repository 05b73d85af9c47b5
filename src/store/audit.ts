/**
 * The audit rows: of every event that somebody may have to answer for, who did what and why, with its place in its chain. They are
 * written with their events and never changed; the events are the evidence, and these say where to look.
 */
import {type Kysely, sql} from 'kysely';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {AuditFilter, AuditRow} from '#kernel/ports.ts';
import {assertLimit, parseTime, toPattern} from './filter.ts';
import {fold, storable} from './project.ts';
import type {AuditDraft} from './project-audit.ts';
import type {Tables} from './schema.ts';

export type AuditQuery = Omit<AuditFilter, 'cursor'> & {readonly position: Position | null};
type Position = {readonly at: string; readonly runId: string; readonly seq: number};

const cursorSchema = z.tuple([z.iso.datetime(), z.string().min(1).max(200), z.int().positive()]);

/** Throws `validation_error` for a limit, a time or a cursor that no page could have. */
export function parseAuditFilter({cursor, ...filter}: AuditFilter): AuditQuery {
	assertLimit(filter.limit);
	const {text, since, until} = filter;
	return {
		...filter,
		...(text === undefined ? {} : {text: fold(text)}),
		...(since === undefined ? {} : {since: parseTime('since', since)}),
		...(until === undefined ? {} : {until: parseTime('until', until)}),
		position: cursor === undefined ? null : parseCursor(cursor),
	};
}

function parseCursor(cursor: string): Position {
	try {
		const [at, runId, seq] = cursorSchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
		return {at, runId: storable(runId), seq};
	} catch (cause) {
		throw new WritError('validation_error', '`cursor`: expected the `next` of an earlier page', {
			details: {field: 'cursor'},
			cause,
		});
	}
}

export function toAuditPage(
	rows: readonly AuditRow[],
	limit: number,
): {readonly rows: readonly AuditRow[]; readonly next: string | null} {
	const page = rows.slice(0, limit);
	const last = page.at(-1);
	const next =
		last && rows.length > limit ? Buffer.from(JSON.stringify([last.at, last.runId, last.seq])).toString('base64url') : null;
	return {rows: page, next};
}

/** One row more than the page holds, newest first. INVARIANT: the tenant is named. */
export function listAudit(db: Kysely<Tables>, query: AuditQuery): Promise<AuditRow[]> {
	const {tenant, principal, tools, decision, type, runId, address, client, text, since, until, position, limit} = query;
	let rows = db
		.selectFrom('audit as a')
		.leftJoin('audit as p', (join) =>
			join.onRef('p.run_id', '=', 'a.run_id').onRef('p.action_id', '=', 'a.action_id').on('p.type', '=', 'action.proposed'),
		)
		.select([
			...([
				'a.run_id as runId',
				'a.seq',
				'a.hash',
				'a.at',
				'a.type',
				'a.actor',
				'a.actor_kind as actorKind',
				'a.principal',
			] as const),
			...(['a.job', 'a.mode', 'a.action_id as actionId', 'p.tool', 'a.decision', 'a.risk', 'a.detail'] as const),
			...(['a.address', 'a.client', 'a.request_id as requestId'] as const),
		])
		.where('a.tenant', '=', storable(tenant));
	if (principal !== undefined)
		rows = rows.where(({eb, or}) => or([eb('a.principal', '=', principal), eb('a.actor', '=', principal)]));
	if (tools) rows = rows.where('p.tool', 'in', tools.length > 0 ? tools : ['']);
	if (decision) rows = rows.where('a.decision', '=', decision);
	if (type) rows = rows.where('a.type', '=', type);
	if (runId !== undefined) rows = rows.where('a.run_id', '=', storable(runId));
	if (address) rows = rows.where('a.address', '=', storable(address));
	if (client) rows = rows.where('a.client', '=', client);
	if (since) rows = rows.where('a.at', '>=', since);
	if (until) rows = rows.where('a.at', '<', until);
	if (text) rows = rows.where(sql<boolean>`a.folded LIKE ${toPattern(text)} ESCAPE '!'`);
	if (position)
		rows = rows.where(({eb, refTuple, tuple}) =>
			eb(refTuple('a.at', 'a.run_id', 'a.seq'), '<', tuple(position.at, position.runId, position.seq)),
		);
	return rows
		.orderBy('a.at', 'desc')
		.orderBy('a.run_id', 'desc')
		.orderBy('a.seq', 'desc')
		.limit(limit + 1)
		.execute() as Promise<AuditRow[]>;
}

/** The same without a database. */
export function matchAudit(all: readonly AuditDraft[], query: AuditQuery): AuditRow[] {
	const toolOf = (row: AuditDraft) =>
		all.find((each) => each.run_id === row.run_id && each.action_id === row.action_id && each.type === 'action.proposed')?.tool ??
		null;
	const {tenant, principal, tools, decision, type, runId, address, client, text, since, until, position, limit} = query;
	const rows = all
		.filter((row) => row.tenant === storable(tenant))
		.map((row) => ({row, tool: row.action_id === null ? null : toolOf(row)}))
		.filter(
			({row, tool}) =>
				(principal === undefined || row.principal === principal || row.actor === principal) &&
				(!tools || (tool !== null && tools.includes(tool))) &&
				(!decision || row.decision === decision) &&
				(!type || row.type === type) &&
				(runId === undefined || row.run_id === storable(runId)) &&
				(!address || row.address === storable(address)) &&
				(!client || row.client === client) &&
				(!since || row.at >= since) &&
				(!until || row.at < until) &&
				(!text || row.folded.includes(text)),
		)
		.map(({row, tool}) => toRow(row, tool))
		.sort((a, b) => (isBefore(a, b) ? 1 : -1));
	return rows.filter((row) => position === null || isBefore(row, position)).slice(0, limit + 1);
}

function toRow(draft: AuditDraft, tool: string | null): AuditRow {
	const {run_id: runId, actor_kind: actorKind, action_id: actionId, request_id: requestId, tenant: _, folded: __, ...row} = draft;
	return {...row, runId, actorKind, actionId, requestId, tool} as AuditRow;
}

function isBefore(a: Position, b: Position): boolean {
	if (a.at !== b.at) return a.at < b.at;
	return a.runId !== b.runId ? a.runId < b.runId : a.seq < b.seq;
}
