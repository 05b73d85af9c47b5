import {WritError} from '#contract/errors.ts';
import {type Event, parseEvent} from '#contract/event.ts';

/** One row of the event table. */
export type StoredEvent = {readonly seq: number; readonly event: string};

/** Parses the rows after `after`; throws `evidence_tampered`, naming run and seq, for the first one that is missing, moved or unreadable. */
export function parseRows(runId: string, after: number, rows: readonly StoredEvent[]): readonly Event[] {
	return rows.map((row, index) => {
		const expected = after + index + 1;
		if (row.seq !== expected) throw tampered(runId, expected, 'the event is missing');
		const event = parseRow(runId, row);
		if (event.runId !== runId || event.seq !== row.seq) throw tampered(runId, row.seq, 'the event belongs to another place');
		return event;
	});
}

/** The row as it is, for the verifier: JSON where it is JSON, the text itself where it is not. */
export function toRaw({event}: Pick<StoredEvent, 'event'>): unknown {
	try {
		return JSON.parse(event);
	} catch {
		return event; // damage is what the verifier came for
	}
}

function parseRow(runId: string, row: StoredEvent): Event {
	try {
		return parseEvent(JSON.parse(row.event));
	} catch (cause) {
		throw tampered(runId, row.seq, 'the event cannot be read', cause);
	}
}

function tampered(runId: string, seq: number, reason: string, cause?: unknown): WritError {
	return new WritError('evidence_tampered', `event ${seq} of ${runId} is damaged: ${reason}`, {
		hint: 'run `writ evidence verify` on this run and restore the store from a backup',
		cause,
		details: {runId, seq},
	});
}
