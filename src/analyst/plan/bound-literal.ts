/** Literals as bound expressions. */
import type {ColumnType} from '#contract/table.ts';
import {type Scalar, scalarSql, scalarWords} from './literal.ts';
import {type Bound, report, type Scope, STRENGTH} from './scope.ts';
import {momentSql, parseMoment} from './time.ts';

export function literal(value: Scalar): Bound {
	const type = typeof value === 'number' ? (Number.isInteger(value) ? 'integer' : 'double') : literalType(value);
	const isNegative = typeof value === 'number' && value < 0;
	const base: Bound = {kind: 'literal', sql: scalarSql(value), words: scalarWords(value), type, parts: [], tables: [], value};
	return isNegative ? {...base, infix: STRENGTH.sum} : base;
}

function literalType(value: Scalar): ColumnType {
	if (value === null) return 'null';
	return typeof value === 'boolean' ? 'boolean' : 'text';
}

/** A text literal that is a moment, as one of `type`; anything else unchanged. */
export function asMoment(bound: Bound, type: ColumnType): Bound {
	const ms = typeof bound.value === 'string' ? parseMoment(bound.value) : undefined;
	return ms === undefined ? bound : {...bound, sql: momentSql(ms, type), type};
}

/** The dataset's now in milliseconds; undefined after reporting that it has none. */
export function nowOf(path: string, scope: Scope): number | undefined {
	const ms = scope.dataset.now === null ? undefined : parseMoment(scope.dataset.now);
	if (ms === undefined)
		report(scope, path, `dataset \`${scope.dataset.id}\` has no now to count from; write the dates themselves`);
	return ms;
}
