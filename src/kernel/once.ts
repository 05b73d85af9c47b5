import {eventsOf} from './by-action.ts';
import type {Outcome} from './execute.ts';
import type {Journal} from './ports.ts';

/** What is proposed under an id: the same id with another tool or input is another proposal. */
export type Subject = {readonly id: string; readonly tool: string; readonly inputDigest: string};

type Attempt = {readonly subject: Subject; readonly outcome: Promise<Outcome>};

const attempts = new WeakMap<Journal, Map<string, Attempt>>();

/**
 * One attempt at a time for one proposal of a run: who proposes it again meanwhile gets the outcome of the attempt that is under way.
 * A proposal that comes under the id of another waits for that one, and gets null: the record of an id speaks of one thing only.
 */
export async function once(journal: Journal, subject: Subject, attempt: () => Promise<Outcome>): Promise<Outcome | null> {
	const running = attempts.get(journal) ?? new Map<string, Attempt>();
	attempts.set(journal, running);
	const other = running.get(subject.id);
	if (other && isSame(other.subject, subject)) return other.outcome;
	if (other) {
		await other.outcome.catch(() => {}); // its own caller hears of its failure
		return once(journal, subject, attempt);
	}
	const recorded = eventsOf(subject.id, journal.events).find(({type}) => type === 'action.proposed');
	if (recorded?.type === 'action.proposed' && !isSame({id: subject.id, ...recorded.data}, subject)) return null;
	const outcome = attempt();
	running.set(subject.id, {subject, outcome});
	try {
		return await outcome;
	} finally {
		running.delete(subject.id);
	}
}

function isSame(one: Subject, other: Subject): boolean {
	return one.id === other.id && one.tool === other.tool && one.inputDigest === other.inputDigest;
}
