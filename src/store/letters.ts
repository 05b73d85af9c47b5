import type {Kysely} from 'kysely';
import type {Letters} from '#kernel/letters.ts';
import type {Execute} from './identity.ts';
import type {Tables} from './schema.ts';

export type LetterTable = {
	letter_id: string;
	run_id: string;
	body: string;
	until: string;
	taken: number;
	reply: string | null;
};

/** The same statements on every database; how others are told of a letter is each store's own. */
export function createLetters(db: Kysely<Tables>, execute: Execute): Omit<Letters, 'listen'> {
	return {
		async send({letterId, runId, body, until}) {
			const row = {letter_id: letterId, run_id: runId, body, until, taken: 0, reply: null};
			await execute(db.insertInto('letters').values(row).compile());
		},
		waiting: (now) =>
			db
				.selectFrom('letters')
				.select(['letter_id as letterId', 'run_id as runId', 'body', 'until'])
				.where('taken', '=', 0)
				.where('until', '>', now.toISOString())
				.execute(),
		async take(letterId) {
			const free = db.updateTable('letters').set({taken: 1}).where('letter_id', '=', letterId).where('taken', '=', 0);
			return (await execute(free.compile())) === 1;
		},
		async reply(letterId, reply) {
			await execute(db.updateTable('letters').set({reply}).where('letter_id', '=', letterId).compile());
		},
		async replyTo(letterId) {
			const row = db.selectFrom('letters').select('reply').where('letter_id', '=', letterId);
			return (await row.executeTakeFirst())?.reply ?? null;
		},
		async discard(letterId, now) {
			const old = new Date(now.getTime() - OLD_MS).toISOString();
			const gone = db.deleteFrom('letters').where(({eb, or}) => or([eb('letter_id', '=', letterId), eb('until', '<', old)]));
			await execute(gone.compile());
		},
	};
}

const OLD_MS = 3_600_000;
