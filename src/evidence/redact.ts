import type {Redactor} from '#kernel/ports.ts';
import {MAX_DEPTH} from './canonical.ts';
import {secretOf} from './secret-names.ts';
import {createScanner, type Scan, type Tally} from './secrets.ts';

/**
 * Replaces every secret in a value by `[redacted:<kind>]`: in strings, in keys, at any depth. `known` are the platform's own secrets,
 * found in every spelling of theirs; a function is asked each time, and returns the same array until there are others. What held no secret comes back as the same reference; redacting twice is redacting
 * once; time is linear in the size. Half a character, which UTF-8 cannot hold, becomes U+FFFD. What is not JSON passes: `canonical`
 * refuses it.
 */
export function createRedactor(known: readonly string[] | (() => readonly string[])): Redactor {
	const ask = typeof known === 'function' ? known : () => known;
	const state = {known: ask(), scan: createScanner(ask())};
	return (value) => {
		const now = ask();
		if (now !== state.known) {
			state.known = now;
			state.scan = createScanner(now);
		}
		const tally = {count: 0};
		return {value: redact(value, {scan: state.scan, tally}, 0), count: tally.count};
	};
}

type Pass = {readonly scan: Scan; readonly tally: Tally};

function redact(value: unknown, pass: Pass, depth: number): unknown {
	if (typeof value === 'string') return redactText(value, pass);
	if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value;
	return Array.isArray(value) ? redactArray(value, pass, depth) : redactObject(value as Record<string, unknown>, pass, depth);
}

function redactText(text: string, {scan, tally}: Pass): string {
	return scan(text.isWellFormed() ? text : text.toWellFormed(), tally);
}

function redactArray(values: readonly unknown[], pass: Pass, depth: number): unknown {
	let copy: unknown[] | null = null;
	for (let index = 0; index < values.length; index += 1) {
		const value = values[index];
		if (typeof value === 'number') continue;
		const clean = redact(value, pass, depth + 1);
		if (clean === value) continue;
		copy ??= [...values];
		copy[index] = clean;
	}
	return copy ?? values;
}

function redactObject(value: Readonly<Record<string, unknown>>, pass: Pass, depth: number): unknown {
	const prototype: unknown = Object.getPrototypeOf(value);
	if (prototype !== Object.prototype && prototype !== null) return value;
	const keys = Object.keys(value);
	let copy: [string, unknown][] | null = null;
	for (let index = 0; index < keys.length; index += 1) {
		const key = keys[index] as string;
		const member = value[key];
		const cleanKey = redactText(key, pass);
		const clean = redactMember(key, redact(member, pass, depth + 1), pass.tally);
		if (copy === null && cleanKey === key && clean === member) continue;
		copy ??= keys.slice(0, index).map((earlier) => [earlier, value[earlier]]);
		copy.push([cleanKey, clean]);
	}
	return copy ? Object.fromEntries(distinct(copy)) : value;
}

function redactMember(key: string, member: unknown, tally: Tally): unknown {
	if (typeof member !== 'string' || member === '') return member;
	const kind = secretOf(key, member);
	if (kind === null) return member;
	tally.count += 1;
	return `[redacted:${kind}]`;
}

/** Two secret keys of one object stay two keys. */
function distinct(entries: readonly [string, unknown][]): [string, unknown][] {
	const seen = new Map<string, number>();
	return entries.map(([key, member]) => {
		const count = (seen.get(key) ?? 0) + 1;
		seen.set(key, count);
		return [count === 1 ? key : `${key} (${count})`, member];
	});
}
