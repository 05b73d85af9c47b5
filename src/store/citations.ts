import type {Event} from '#contract/event.ts';
import {isRecord} from '#contract/json.ts';
import type {RunRow} from '#kernel/ports.ts';
import {storable} from './project.ts';

export type Citation = {readonly tenant: string; readonly sha256: string; readonly run_id: string};

/** The files that events name: what programs read and left, each under its hash. */
export function citationsOf(events: readonly Event[], {runId, tenant}: Pick<RunRow, 'runId' | 'tenant'>): readonly Citation[] {
	const named = new Set(
		events.flatMap((event) => {
			if (event.type === 'action.proposed') return hashesIn(event.data.input, 'files');
			return event.type === 'action.outcome' ? hashesIn(event.data.output, 'artifacts') : [];
		}),
	);
	return [...named].map((sha256) => ({tenant, sha256, run_id: runId}));
}

function hashesIn(value: unknown, member: string): readonly string[] {
	const list = isRecord(value) ? value[member] : null;
	if (!Array.isArray(list)) return [];
	return list.flatMap((each: unknown) => (isRecord(each) && typeof each.sha256 === 'string' ? [storable(each.sha256)] : []));
}
