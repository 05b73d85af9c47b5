/**
 * Takes everything of Node from the realm that code in Wasm could reach through its JavaScript: no `process`, no `fetch`, no `require`,
 * no streams, no timers that lead to a socket. What is left is the language itself. Modules keep what they imported before.
 */
import {randomBytes} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {registerHooks} from 'node:module';
import {basename, join} from 'node:path';

/** INVARIANT: a list of what stays, so that what a later Node adds goes. */
const KEPT: ReadonlySet<string> = new Set(
	`globalThis Infinity NaN undefined parseInt parseFloat isNaN isFinite decodeURI decodeURIComponent encodeURI encodeURIComponent
	Object Function Error EvalError RangeError ReferenceError SyntaxError TypeError URIError AggregateError Number Boolean String Symbol
	BigInt Math Date RegExp Array ArrayBuffer Atomics DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array
	Uint32Array Float16Array Float32Array Float64Array BigInt64Array BigUint64Array Map Set WeakMap WeakSet WeakRef FinalizationRegistry
	Promise Proxy Reflect JSON Intl WebAssembly Iterator SharedArrayBuffer TextDecoder TextEncoder`.split(/\s+/),
);

export type BareRealm = {
	/** Ends what Pyodide needed to start: reading its own files. */
	seal(): void;
};

/**
 * Leaves the globals of a JavaScript shell, which is how Pyodide runs where there is neither Node nor a browser: it then imports
 * nothing of Node. `files` is the directory of the files that it may read while it starts.
 */
export function enterBareRealm(files: string): BareRealm {
	const {now} = performance;
	const milliseconds = now.bind(performance);
	for (const key of Reflect.ownKeys(globalThis))
		if (typeof key !== 'string' || !KEPT.has(key)) Reflect.deleteProperty(globalThis, key);
	const ownFile = (path: string) => join(files, basename(path));
	const starting = {
		read: (path: string) => readFileSync(ownFile(path), 'utf8'),
		readbuffer: (path: string) => readFileSync(ownFile(path)),
		load: () => {},
	};
	const silent = () => {};
	Object.assign(globalThis, starting, {
		performance: Object.freeze({now: () => milliseconds()}),
		console: Object.freeze({log: silent, warn: silent, error: silent, info: silent, debug: silent}),
		setTimeout: () => 0,
		clearTimeout: silent,
		os: Object.freeze({system: randomFromShell}),
	});
	return {
		seal() {
			for (const name of Object.keys(starting)) Reflect.deleteProperty(globalThis, name);
			registerHooks({resolve: refuse, load: refuse});
			Object.freeze(globalThis);
		},
	};
}

function refuse(): never {
	throw new Error('nothing can be imported here');
}

/** A shell has no random numbers of its own, so Pyodide asks it for `head -c COUNT /dev/urandom | base64`. No program is started. */
function randomFromShell(_program: string, [, command = '']: readonly string[]): string {
	const count = Number(/^head -c(\d{1,5}) \/dev\/urandom/.exec(command)?.[1] ?? 0);
	return randomBytes(count).toString('base64');
}
