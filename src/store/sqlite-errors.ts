import {WritError} from '#contract/errors.ts';

/** Result codes of SQLite (sqlite.org/rescode.html) that are about the file or the machine, not about our statements. */
const FAILURES: Readonly<Record<number, {readonly problem: string; readonly hint: string}>> = {
	3: {problem: 'the database may not be opened', hint: 'check the permissions of the file and its directory'},
	5: {problem: 'another process holds the database', hint: 'stop the other process, or wait until it is done'},
	6: {problem: 'the database is locked', hint: 'try again'},
	7: {problem: 'there is not enough memory for the database', hint: 'free memory on this machine'},
	8: {problem: 'the database may not be written to', hint: 'check the permissions of the file and its directory'},
	10: {problem: 'the disk of the database failed', hint: 'check the disk and the free space on it'},
	11: {problem: 'the database is damaged', hint: 'stop writ and restore the file from a backup'},
	13: {problem: 'the disk of the database is full', hint: 'free space on it; writ goes on by itself'},
	14: {problem: 'the database file cannot be opened', hint: 'check that its directory exists and that both may be written to'},
	23: {problem: 'the database may not be used', hint: 'check the permissions of the file and its directory'},
	26: {problem: 'the file is not a database', hint: 'point writ at another file, or restore it from a backup'},
};

/** A failure of SQLite as the catalogue knows it. Anything else is a bug and stays what it is. */
export function toStoreError(error: unknown): unknown {
	const failure = error instanceof Error && 'errcode' in error ? FAILURES[Number(error.errcode) & 0xff] : undefined;
	if (!failure) return error;
	return new WritError('store_unavailable', failure.problem, {hint: failure.hint, cause: error});
}
