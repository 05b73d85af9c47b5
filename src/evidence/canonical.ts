/**
 * The one byte form of a value: canonical JSON as RFC 8785 states it. Writer and verifier share this file and nothing else.
 */
import {hash} from 'node:crypto';
import {WritError} from '#contract/errors.ts';

/** Deeper values are refused: no honest one comes near, and recursion over a hostile one would exhaust the stack. */
export const MAX_DEPTH = 256;

/**
 * Canonical JSON text: keys sorted by UTF-16 code units, numbers as ECMAScript writes them, no white space. Properties that are
 * undefined are left out, as JSON leaves them out. Throws `validation_error`, naming the place, on whatever JSON cannot hold: NaN,
 * infinities, BigInt, undefined elsewhere, functions, symbols, lone surrogates, cycles, and objects that are not plain.
 */
export function canonical(value: unknown): string {
	try {
		return write(value, 0);
	} catch (fault) {
		if (!(fault instanceof Fault)) throw fault;
		throw new WritError('validation_error', `not JSON at ${fault.place()}: ${fault.message}`, {
			hint: 'send plain objects, arrays, strings, finite numbers, booleans and null',
			details: {path: fault.place()},
		});
	}
}

/** SHA-256 of the canonical JSON, in hex. */
export function digest(value: unknown): string {
	return hash('sha256', canonical(value), 'hex');
}

/** Collects its path on the way up, so that writing a good value does not pay for one. */
class Fault extends Error {
	readonly path: (string | number)[] = [];

	place(): string {
		const steps = this.path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`));
		const shown = steps.length > 8 ? [...steps.slice(0, 8), '…'] : steps;
		return `$${shown.join('')}`.toWellFormed();
	}
}

/** Anything but printable ASCII without quote and backslash may need an escape, or may be half a character. */
const UNUSUAL = /[^ !#-[\]-~]/;

function write(value: unknown, depth: number): string {
	switch (typeof value) {
		case 'string':
			return writeString(value);
		case 'number':
			if (Number.isFinite(value)) return String(value);
			throw new Fault(`${value} is not a JSON number`);
		case 'boolean':
			return value ? 'true' : 'false';
		case 'object':
			if (value === null) return 'null';
			return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value as Record<string, unknown>, depth + 1);
		default:
			throw new Fault(value === undefined ? 'undefined has no JSON form' : `a ${typeof value} has no JSON form`);
	}
}

function writeString(value: string): string {
	if (!UNUSUAL.test(value)) return `"${value}"`;
	if (value.isWellFormed()) return JSON.stringify(value);
	throw new Fault('the text has a lone surrogate');
}

function writeArray(values: readonly unknown[], depth: number): string {
	if (depth > MAX_DEPTH) throw new Fault(tooDeep(values));
	let text = '[';
	let index = 0;
	try {
		for (; index < values.length; index += 1) {
			if (index > 0) text += ',';
			text += write(values[index], depth);
		}
	} catch (fault) {
		if (fault instanceof Fault) fault.path.unshift(index);
		throw fault;
	}
	return `${text}]`;
}

function writeObject(value: Readonly<Record<string, unknown>>, depth: number): string {
	if (depth > MAX_DEPTH) throw new Fault(tooDeep(value));
	const prototype: unknown = Object.getPrototypeOf(value);
	if (prototype !== Object.prototype && prototype !== null) throw new Fault(`a ${value.constructor?.name} is not a plain object`);
	let text = '{';
	let key = '';
	try {
		for (key of sortedKeys(value)) {
			const member = value[key];
			if (member === undefined) continue;
			if (text.length > 1) text += ',';
			text += writeKey(key) + write(member, depth);
		}
	} catch (fault) {
		if (fault instanceof Fault) fault.path.unshift(key);
		throw fault;
	}
	return `${text}}`;
}

/** The few keys that events are made of, ready to write. Full after 1,024: hostile keys cannot grow it. */
const keyTexts = new Map<string, string>();

function writeKey(key: string): string {
	const known = keyTexts.get(key);
	if (known !== undefined) return known;
	const text = `${writeString(key)}:`;
	if (keyTexts.size < 1024) keyTexts.set(key, text);
	return text;
}

/** By UTF-16 code units, as the RFC asks and as `<` and `sort` compare. Insertion is quicker for the few keys of an event. */
function sortedKeys(value: object): string[] {
	const keys = Object.keys(value);
	if (keys.length > 16) return keys.sort();
	for (let end = 1; end < keys.length; end += 1) {
		const key = keys[end] as string;
		let at = end;
		for (; at > 0 && (keys[at - 1] as string) > key; at -= 1) keys[at] = keys[at - 1] as string;
		keys[at] = key;
	}
	return keys;
}

function tooDeep(value: object): string {
	return isCyclic(value, new Set(), new Set()) ? 'the value contains itself' : `nested deeper than ${MAX_DEPTH} levels`;
}

/** Looks at each object once, and no deeper than `MAX_DEPTH` again: a longer cycle is as good as too deep. */
function isCyclic(value: object, above: Set<object>, cleared: Set<object>): boolean {
	if (above.has(value)) return true;
	if (above.size > MAX_DEPTH || cleared.has(value)) return false;
	above.add(value);
	const members = Object.values(value).filter((member) => typeof member === 'object' && member !== null);
	const found = members.some((member) => isCyclic(member, above, cleared));
	above.delete(value);
	cleared.add(value);
	return found;
}
