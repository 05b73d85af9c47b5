import {type DestinationStream, pino} from 'pino';
import type {Redactor} from '#kernel/ports.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Constant messages with fields. One line of JSON each; fields pass the redactor before they are written. */
export type Log = {
	debug(message: string, fields?: Fields): void;
	info(message: string, fields?: Fields): void;
	warn(message: string, fields?: Fields): void;
	error(message: string, fields?: Fields): void;
};

export type LogOptions = {
	readonly level: 'silent' | 'error' | 'warn' | 'info' | 'debug';
	readonly redact: Redactor;
	/** default: standard output */
	readonly destination?: DestinationStream;
};

export function createLog({level, redact, destination}: LogOptions): Log {
	const options = {
		level,
		base: null,
		timestamp: pino.stdTimeFunctions.isoTime,
		formatters: {level: (label: string) => ({level: label})},
	};
	const target = destination ? pino(options, destination) : pino(options);
	const write =
		(method: 'debug' | 'info' | 'warn' | 'error') =>
		(message: string, fields: Fields = {}) =>
			target[method](redact(flatten(fields)).value as object, message);
	return {debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error')};
}

/** Errors keep their stack in the log, and only there; causes are followed. */
function flatten(fields: Fields): Fields {
	return Object.fromEntries(
		Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? toPlain(value, MAX_CAUSES) : value]),
	);
}

const MAX_CAUSES = 5;

/** INVARIANT: plain objects only; the redactor passes over what has a class. */
function toPlain({name, message, stack, cause, ...rest}: Error, depth: number): object {
	const code = 'code' in rest && typeof rest.code === 'string' ? {code: rest.code} : {};
	const inner = cause instanceof Error && depth > 0 ? {cause: toPlain(cause, depth - 1)} : {};
	return {type: name, message, stack: stack ?? '', ...code, ...inner};
}
