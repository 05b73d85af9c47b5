import {WritError} from '#contract/errors.ts';

/** SQLSTATE classes (PostgreSQL, appendix A) that are about the server, the network or contention, not about our statements. */
const UNAVAILABLE: Readonly<Record<string, {readonly problem: string; readonly hint: string}>> = {
	'08': {
		problem: 'the connection to PostgreSQL was lost',
		hint: 'check that the server runs and can be reached; writ reconnects by itself',
	},
	'25006': {problem: 'PostgreSQL only allows reading', hint: 'point `DATABASE_URL` at the primary server'},
	'28': {problem: 'PostgreSQL refused the login', hint: 'check user and password in `DATABASE_URL`'},
	'3D': {problem: 'the database does not exist', hint: 'create it, or correct its name in `DATABASE_URL`'},
	'3F': {problem: 'the schema does not exist', hint: 'create it, or correct `search_path` in `DATABASE_URL`'},
	'40': {problem: 'PostgreSQL gave up a transaction in favour of others', hint: 'try again'},
	'42501': {
		problem: 'PostgreSQL does not permit this',
		hint: 'let the user of `DATABASE_URL` create and write tables in its schema',
	},
	'53100': {problem: 'the disk of PostgreSQL is full', hint: 'free space on the server; writ goes on by itself'},
	'53': {problem: 'PostgreSQL is out of memory or connections', hint: 'free memory, or raise `max_connections`'},
	'55P03': {problem: 'PostgreSQL did not get a lock in time', hint: 'try again'},
	'57014': {problem: 'PostgreSQL took too long', hint: 'try again when the server is less busy'},
	'57': {problem: 'PostgreSQL is restarting or shutting down', hint: 'wait until it is back; writ reconnects by itself'},
	'58': {problem: 'the disk of PostgreSQL failed', hint: 'look at the log of the server'},
	XX: {problem: 'PostgreSQL reports damage', hint: 'look at the log of the server'},
};

/** Errors of `pg` that carry no SQLSTATE: the connection broke, or never came to be. */
const LOST = /terminated|not queryable|timeout|ECONN|ENOENT|ENOTFOUND|EAI_AGAIN|EPIPE|EHOSTUNREACH|ETIMEDOUT|Connection ended/;

/** Two replicas created the same row, or locked in an order the server broke: deciding again settles it. */
const RACES = new Set(['40001', '40P01', '23505']);

/** A failure of PostgreSQL as the catalogue knows it. Anything else is a bug and stays what it is. */
export function toStoreError(error: unknown): unknown {
	if (!(error instanceof Error) || error instanceof WritError) return error;
	const code = codeOf(error);
	const known = UNAVAILABLE[code] ?? UNAVAILABLE[code.slice(0, 2)];
	const failure = isSqlState(code) ? known : LOST.test(`${code} ${error.message}`) ? UNAVAILABLE['08'] : undefined;
	if (!failure) return error;
	return new WritError('store_unavailable', failure.problem, {hint: failure.hint, cause: error});
}

export function isRace(error: unknown): boolean {
	const cause = error instanceof WritError ? error.cause : error;
	return cause instanceof Error && RACES.has(codeOf(cause));
}

function codeOf(error: Error): string {
	return 'code' in error ? String(error.code) : '';
}

function isSqlState(code: string): boolean {
	return /^[0-9A-Z]{5}$/.test(code) && /\d|XX/.test(code);
}
