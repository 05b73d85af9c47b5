import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {RunFilter, RunRow} from '#kernel/ports.ts';
import {fold, storable, toInstant} from './project.ts';

/** Where a page of runs ended: runs are listed from the newest, ties by id. */
type Position = {readonly createdAt: string; readonly runId: string};

/** A filter that was checked: text folded, times comparable as text, the cursor opened. */
export type Filter = Omit<RunFilter, 'cursor'> & {readonly position: Position | null};

const MAX_TEXT = 1_000;
const MAX_LIMIT = 200;

const cursorSchema = z.tuple([z.iso.datetime(), z.string().min(1).max(200)]);

/** Throws `validation_error` for a limit, a time, a text or a cursor that no page could have. */
export function parseFilter({cursor, ...filter}: RunFilter): Filter {
	assertLimit(filter.limit);
	const {text, since, until} = filter;
	if (text !== undefined && text.length > MAX_TEXT)
		throw invalid('text', `expected at most ${MAX_TEXT} characters, got ${text.length}`);
	return {
		...mapText(filter),
		...(text === undefined ? {} : {text: fold(text)}),
		...(since === undefined ? {} : {since: parseTime('since', since)}),
		...(until === undefined ? {} : {until: parseTime('until', until)}),
		position: cursor === undefined ? null : parseCursor(cursor),
	};
}

/** The limit. Throws `validation_error` unless a list of `limit` rows may be asked for. */
export function assertLimit(limit: number): number {
	if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
		throw invalid('limit', `expected a whole number from 1 to ${MAX_LIMIT}, got ${limit}`);
	return limit;
}

/** The rows of one page and the cursor of the next, given one row more than the page holds. */
export function toPage(rows: readonly RunRow[], limit: number): {readonly rows: readonly RunRow[]; readonly next: string | null} {
	const page = rows.slice(0, limit);
	const last = page.at(-1);
	const next = last && rows.length > limit ? toCursor(last) : null;
	return {rows: page, next};
}

function toCursor({createdAt, runId}: Position): string {
	return Buffer.from(JSON.stringify([createdAt, runId])).toString('base64url');
}

function parseCursor(cursor: string): Position {
	const parsed = cursorSchema.safeParse(parseJson(Buffer.from(cursor, 'base64url').toString()));
	if (!parsed.success) throw invalid('cursor', 'expected the `next` of an earlier page');
	const [createdAt, runId] = parsed.data;
	return {createdAt, runId: storable(runId)};
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined; // refused by the schema that reads it
	}
}

export function parseTime(name: string, time: string): string {
	if (Number.isNaN(Date.parse(time))) throw invalid(name, `expected a time like 2026-01-31T09:00:00Z, got \`${time}\``);
	return toInstant(time);
}

function mapText<T extends Readonly<Record<string, unknown>>>(values: T): T {
	const entries = Object.entries(values).map(([key, value]) => [key, typeof value === 'string' ? storable(value) : value]);
	return Object.fromEntries(entries) as T;
}

function invalid(name: string, problem: string): WritError {
	return new WritError('validation_error', `\`${name}\`: ${problem}`, {details: {field: name}});
}

/** INVARIANT: what a person typed is text, never a pattern. */
export function toPattern(text: string): string {
	return `%${text.replace(/[!%_]/g, '!$&')}%`;
}
