import {types} from 'node:util';
import type {Json} from '#contract/json.ts';
import {RunnerError} from './frames.ts';

/** A value as JSON, and how many numbers that are not finite became null on the way. */
export type Converted = {readonly json: Json; readonly nonFinite: number};

type State = {left: number; nonFinite: number; readonly maxBytes: number; readonly above: Set<object>};

const MAX_DEPTH = 32;
/** What a comma, a bracket or a short name costs. */
const NODE_BYTES = 4;

/**
 * Whole numbers beyond 2^53 become text, dates ISO 8601, maps objects (or pairs, where a key is no text), sets lists, bytes base64, a
 * circle the text `[circular]`, and what JSON has no word for null. Throws when the value is too large or too deep.
 */
export function toJson(value: unknown, maxBytes: number): Converted {
	const state: State = {left: maxBytes, nonFinite: 0, maxBytes, above: new Set()};
	const json = convert(value, state);
	return {json, nonFinite: state.nonFinite};
}

function convert(value: unknown, state: State): Json {
	spend(NODE_BYTES, state);
	switch (typeof value) {
		case 'boolean':
			return value;
		case 'string':
			return text(value, state);
		case 'number':
			if (Number.isFinite(value)) return value;
			state.nonFinite += 1;
			return null;
		case 'bigint':
			return Number.isSafeInteger(Number(value)) ? Number(value) : text(String(value), state);
		case 'object':
			return value === null ? null : guarded(value, state);
		default:
			return null;
	}
}

function guarded(value: object, state: State): Json {
	if (state.above.has(value)) return '[circular]';
	if (state.above.size >= MAX_DEPTH)
		throw new RunnerError('javascript_execution_error', `the value is nested deeper than ${MAX_DEPTH} levels`);
	state.above.add(value);
	try {
		return convertObject(value, state);
	} finally {
		state.above.delete(value);
	}
}

function convertObject(value: object, state: State): Json {
	if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
	if (value instanceof Uint8Array) return text(Buffer.from(value).toString('base64'), state);
	if (value instanceof ArrayBuffer) return text(Buffer.from(value).toString('base64'), state);
	if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView)) || value instanceof Set)
		return list(value as Iterable<unknown>, state);
	if (value instanceof Map) return map(value, state);
	if (types.isNativeError(value)) return {name: value.name, message: text(value.message, state)};
	if (value instanceof RegExp) return text(String(value), state);
	if (types.isBoxedPrimitive(value)) return convert(value.valueOf(), state);
	if ('toJSON' in value && typeof value.toJSON === 'function') return convert(value.toJSON(), state);
	return record(Object.entries(value), state);
}

function list(values: Iterable<unknown>, state: State): Json[] {
	const items: Json[] = [];
	for (const value of values) items.push(convert(value, state));
	return items;
}

function map(value: Map<unknown, unknown>, state: State): Json {
	const entries = [...value];
	const named = entries.every((entry): entry is [string, unknown] => typeof entry[0] === 'string');
	return named ? record(entries, state) : list(entries, state);
}

function record(entries: readonly (readonly [string, unknown])[], state: State): Json {
	// Without a prototype: `__proto__` is a name like any other.
	const object: Record<string, Json> = Object.create(null);
	for (const [name, value] of entries) {
		if (value === undefined || typeof value === 'function' || typeof value === 'symbol') continue;
		object[text(name, state)] = convert(value, state);
	}
	return object;
}

function text(value: string, state: State): string {
	spend(Buffer.byteLength(value), state);
	return value.toWellFormed();
}

function spend(bytes: number, state: State): void {
	state.left -= bytes;
	if (state.left >= 0) return;
	throw new RunnerError('runner_resource_exceeded', `the value is larger than ${state.maxBytes} bytes`, {
		hint: 'return less, or write it to a file in /out',
		details: {limit: 'maxBytes', value: state.maxBytes},
	});
}
