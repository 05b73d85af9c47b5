import {RE2JS} from 're2js';

/** A regular expression of an operator, whatever the case. Its time grows with the text and no faster. */
export type Pattern = {test(text: string): boolean};

/** Throws for what is no regular expression, and for what cannot be searched for in linear time. */
export function compilePattern(source: string): Pattern {
	new RegExp(source, 'iu'); // says what is wrong in the words its author knows
	const compiled = linear(source);
	return {test: (text) => compiled.matcher(text).find()};
}

function linear(source: string): RE2JS {
	try {
		return RE2JS.compile(RE2JS.translateRegExp(source), RE2JS.CASE_INSENSITIVE);
	} catch (cause) {
		const why = cause instanceof Error ? cause.message : 'it is not supported';
		throw new SyntaxError(`a pattern has to be searchable in linear time, so without lookaround and back references: ${why}`, {
			cause,
		});
	}
}
