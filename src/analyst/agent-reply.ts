import type {Envelope} from '#agents/tool-reply.ts';
import type {Dataset} from '#contract/dataset.ts';
import type {ErrorBody} from '#contract/errors.ts';
import type {Json} from '#contract/json.ts';
import type {Outcome} from '#kernel/govern.ts';
import type {Computed} from './compute.ts';
import type {ComputedPlan} from './query-plan.ts';
import {outcomeError} from './turn.ts';

type Reply = {readonly text: string; readonly shown: unknown};

/** What of a result a model is shown. The user gets all of it. */
const MOST_ROWS = 50;
const MOST_CHARACTERS = 50_000;
const MOST_CELL = 2_000;

/** A computation that succeeded, as a model is told of it. */
export function toTableReply(envelope: Envelope, output: Computed & Partial<ComputedPlan>): Reply {
	const {table, stdout, sentence, warnings = []} = output;
	const columns = table.columns.slice(0, MOST_WIDE).map(({name, type}) => ({name: cutCell(name, MOST_WIDE), type}));
	const rows = firstRows(table.rows);
	const hidden = table.columns.length - columns.length;
	const shown: Json = {
		columns,
		rows,
		...(sentence ? {reading: sentence} : {}),
		...(stdout ? {stdout: stdout.slice(0, MOST_CELL)} : {}),
		...(warnings.length > 0 ? {warnings: [...warnings]} : {}),
	};
	const outer = {
		status: 'succeeded',
		row_count: table.rows.length,
		total_rows: table.totalRows,
		truncated: table.truncated !== null,
		...(rows.length < table.rows.length
			? {note: `only the first ${rows.length} of ${table.rows.length} rows are shown to you; the user sees all of them`}
			: {}),
		...(hidden > 0 ? {columns_not_shown: hidden} : {}),
	};
	return {text: envelope.seal(outer, shown), shown: {...outer, ...shown}};
}

/** Anything else that succeeded. */
export function toPlainReply(envelope: Envelope, output: Json): Reply {
	const text = JSON.stringify(output);
	const fits = text.length <= MOST_CHARACTERS;
	const shown = fits ? output : `${text.slice(0, MOST_CHARACTERS)}…`;
	return {text: envelope.seal({status: 'succeeded', ...(fits ? {} : {note: 'cut at the limit'})}, shown), shown};
}

/** What did not succeed, with the schema when a name was wrong, and whether to try again. */
export function toErrorReply(envelope: Envelope, outcome: Outcome, dataset: Dataset, earlierErrors: number): Reply {
	const error = outcomeError(outcome);
	if (!error) return {text: envelope.seal({status: outcome.kind}, null), shown: {status: outcome.kind}};
	const {code, message, hint} = error;
	const said: Json = {code, message: message.slice(0, MOST_CELL), ...(hint ? {hint: hint.slice(0, MOST_CELL)} : {})};
	const guidance = outcome.kind === 'denied' && code !== 'validation_error' ? FORBIDDEN : earlierErrors === 0 ? RETRY : GIVE_UP;
	const hintOfSchema = isNameError(error) ? {schema_hint: schemaHint(dataset)} : {};
	return {
		text: envelope.seal({status: outcome.kind, guidance}, {error: said, ...hintOfSchema}),
		shown: {status: outcome.kind, error: said, ...hintOfSchema},
	};
}

const RETRY = 'Correct the call and try once more.';
const GIVE_UP =
	'This has failed more than once. Unless the cause is now clear, answer with what went wrong instead of trying again.';
const FORBIDDEN = 'This is not permitted here and will not be. Do not try to get around it; answer within what is permitted.';

/** Names of the engine's and the plan's messages for a table or a column that is not there. */
const NAME_ERROR =
	/table with name|referenced (?:table|column)|not found in from clause|no such (?:table|column)|does not exist|(?:unknown|there is no) (?:table|column)|has no (?:table|column)|did you mean|candidate (?:bindings|tables)|is not defined|KeyError/i;

function isNameError({code, message, hint = ''}: ErrorBody): boolean {
	return (
		['sql_execution_error', 'sql_policy_violation', 'invalid_plan', 'python_execution_error'].includes(code) &&
		NAME_ERROR.test(`${message} ${hint}`)
	);
}

const MOST_HINTED = 60;

function schemaHint({tables}: Dataset): Json {
	return {
		tables: Object.fromEntries(
			tables.map(({name, columns}) => [name, columns.slice(0, MOST_HINTED).map((column) => column.name)]),
		),
	};
}

function firstRows(rows: readonly (readonly Json[])[]): Json[][] {
	const shown: Json[][] = [];
	let characters = 0;
	for (const row of rows.slice(0, MOST_ROWS)) {
		const cut = row.slice(0, MOST_WIDE).map((cell) => cutCell(cell));
		characters += JSON.stringify(cut).length;
		if (characters > MOST_CHARACTERS && shown.length > 0) break;
		shown.push(characters > MOST_CHARACTERS ? cut.map((cell) => cutCell(cell, MOST_WIDE)) : cut);
	}
	return shown;
}

/** Columns, and characters of a cell where a first row alone is more than a model is shown. */
const MOST_WIDE = 200;

function cutCell(cell: Json, most: number = MOST_CELL): Json {
	const text = typeof cell === 'string' ? cell : cell !== null && typeof cell === 'object' ? JSON.stringify(cell) : '';
	return text.length > most ? `${text.slice(0, most)}…` : cell;
}
