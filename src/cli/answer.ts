import type {ChatResponse} from '#contract/api.ts';
import {ERRORS, type ErrorCode, WritError} from '#contract/errors.ts';
import type {TurnEvent} from '#contract/stream.ts';
import {readEvents} from '#server/client.ts';
import {type Command, type Io, paint, print, printable, printJson} from './io.ts';
import {renderTable} from './table.ts';

/** Prints an answer with the table it rests on. Returns the exit code of its status. */
export function printAnswer(response: ChatResponse, {io, json}: Command): number {
	if (json) printJson(io, response);
	else for (const block of describeAnswer(response, io)) print(io, block);
	return exitOf(response);
}

function describeAnswer({assistant_message, result, details, run_id, thread_id, status}: ChatResponse, io: Io): string[] {
	const blocks = [printable(assistant_message)];
	// An answer in a conversation says itself how the question was read.
	if (details.plan_sentence && thread_id === null) blocks.push(paint(io, 'dim', printable(details.plan_sentence)));
	if (result.columns.length > 0) blocks.push('', ...tableOf(result, io), countLine(result, io));
	if (result.error?.hint && !saysAlready(assistant_message, result.error.hint))
		blocks.push(paint(io, 'yellow', printable(result.error.hint)));
	blocks.push(...details.warnings.map((warning) => paint(io, 'yellow', `note: ${printable(warning)}`)));
	if (details.suggestions.length > 0) blocks.push('you could ask:', ...details.suggestions.map((text) => `  ${printable(text)}`));
	if (details.approval_id) blocks.push(`waiting for a person: writ approvals approve ${details.approval_id}`);
	blocks.push(paint(io, 'dim', `${status} · ${run_id} · writ evidence verify ${run_id}`));
	return blocks;
}

/** As many rows as a person scrolls through; whatever reads a pipe gets all. */
const MOST_ROWS = 50;

function tableOf({columns, rows}: ChatResponse['result'], io: Io): string[] {
	const shown = Number.isFinite(io.columns) ? rows.slice(0, MOST_ROWS) : rows;
	const left = rows.length - shown.length;
	const more = left > 0 ? [paint(io, 'dim', `… and ${left} more rows; --json prints all of them`)] : [];
	return [renderTable(columns, shown, io), ...more];
}

function saysAlready(text: string, hint: string): boolean {
	return text.toLowerCase().includes(hint.toLowerCase());
}

function countLine({row_count, total_rows, truncated}: ChatResponse['result'], io: Io): string {
	const rows = `${row_count} ${row_count === 1 ? 'row' : 'rows'}`;
	if (!truncated) return paint(io, 'dim', rows);
	return paint(io, 'yellow', `${rows} of ${total_rows ?? 'more'}: cut at ${truncated.limit} ${truncated.by}`);
}

function exitOf({status, result}: ChatResponse): number {
	if (status === 'succeeded' || status === 'awaiting_approval') return 0;
	const code = result.error?.type.toLowerCase() ?? '';
	if (Object.hasOwn(ERRORS, code)) return ERRORS[code as ErrorCode].exit;
	return status === 'rejected' ? ERRORS.policy_denied.exit : status === 'cancelled' ? ERRORS.cancelled.exit : 1;
}

/** Follows a turn, showing its stages, and returns its answer. Throws what the turn's `error` event says. */
export async function followTurn(response: Response, {io}: Command): Promise<ChatResponse> {
	const progress = createProgress(io);
	try {
		for await (const frame of readEvents(response)) {
			const event = frame as unknown as TurnEvent;
			if (event.event === 'status') progress.show(`${event.data.stage} …`);
			if (event.event === 'tool_call') progress.show(`${event.data.name} …`);
			if (event.event === 'result') return event.data;
			if (event.event === 'error') throw toThrown(event.data);
		}
	} finally {
		progress.clear();
	}
	throw new WritError('interrupted', 'the server ended the stream before the answer', {
		hint: 'look for the run with `writ runs list`',
	});
}

function toThrown({type, message, hint}: Extract<TurnEvent, {event: 'error'}>['data']): WritError {
	const code = type.toLowerCase();
	const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'internal_error';
	return new WritError(known, message, hint === undefined ? {} : {hint});
}

/** One line that replaces itself; nothing where nobody watches. */
export function createProgress(io: Io): {show(text: string): void; clear(): void} {
	const erase = '\r\u001b[2K';
	return {
		show: (text) => io.interactive && io.err(`${erase}${paint(io, 'dim', printable(text))}`),
		clear: () => io.interactive && io.err(erase),
	};
}
