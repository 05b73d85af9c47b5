/** What was erased of a run, against the record that says so. Shares the contract with the writer and nothing else. */
import type {Event, EventData} from '#contract/event.ts';
import {isRecord} from '#contract/json.ts';
import type {Finding} from './verify-conduct.ts';

const DAY_MS = 86_400_000;

type Claim = {readonly at: string; readonly by: string; readonly data: EventData<'content.erased'>};

/**
 * Compares events as they are stored with `record`, the sound and signed run of their erasure, or null. Content that is gone and that
 * no record names was taken by somebody; content that a record names and that is here was put back, or never erased.
 */
export function compareErasure(events: readonly unknown[], record: readonly Event[] | null): Finding[] {
	const name = 'erasure';
	const fail = (detail: string, position?: number): Finding => ({
		...{name, verdict: 'tampered', detail},
		...(position === undefined ? {} : {position}),
	});
	const gone = new Map(events.flatMap((event) => (isGone(event) ? [[Number(event.seq), String(event.hash)] as const] : [])));
	const [first] = gone.keys();
	if (!record)
		return first === undefined ? [] : [fail(`event ${first}: its content is gone, and nothing says who erased it`, first)];
	const [start] = events;
	const claim = claimFor(record, isRecord(start) ? start.runId : null);
	if (!claim) return [fail('the record of what was erased is not about this run', first)];
	for (const {seq, hash} of claim.data.events) {
		if (gone.get(seq) !== hash) return [fail(`event ${seq}: it is said to be erased, and it is here or another`, seq)];
		gone.delete(seq);
	}
	const [unnamed] = gone.keys();
	if (unnamed !== undefined) return [fail(`event ${unnamed}: its content is gone, and the record does not name it`, unnamed)];
	const {at, by, data} = claim;
	const end = events.at(-1);
	const finishedAt = isRecord(end) && end.type === 'run.finished' ? Date.parse(String(end.at)) : Number.NaN;
	if (data.days !== undefined && !(Date.parse(at) - finishedAt >= data.days * DAY_MS))
		return [fail(`it was erased at ${at}, before the ${data.days} days of the rule ${data.rule} were over`, data.events[0]?.seq)];
	const detail = `the content of ${data.events.length} events was erased by ${by} at ${at}, by the rule ${data.rule}: ${data.reason}`;
	return [{name, verdict: 'valid', detail}];
}

function claimFor(record: readonly Event[], runId: unknown): Claim | null {
	const [first] = record;
	if (first?.type !== 'run.started' || first.data.job !== 'system') return null;
	const found = record.find((event) => event.type === 'content.erased' && event.data.runId === runId);
	return found?.type === 'content.erased' ? {at: found.at, by: found.actor.id, data: found.data} : null;
}

function isGone(event: unknown): event is Readonly<Record<string, unknown>> {
	return isRecord(event) && event.erased !== undefined;
}
