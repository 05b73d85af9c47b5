/**
 * Takes everything of Node from the realm that code in Wasm could reach through its JavaScript: no `process`, no `fetch`, no `require`,
 * no streams, no timers that lead to a socket. What is left is the language itself. Modules keep what they imported before.
 */
import {randomBytes} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {registerHooks} from 'node:module';
import {basename, join} from 'node:path';
import process from 'node:process';

/** INVARIANT: a list of what stays, so that what a later Node adds goes. */
const KEPT: ReadonlySet<string> = new Set(
	`globalThis Infinity NaN undefined parseInt parseFloat isNaN isFinite decodeURI decodeURIComponent encodeURI encodeURIComponent
	Object Function Error EvalError RangeError ReferenceError SyntaxError TypeError URIError AggregateError Number Boolean String Symbol
	BigInt Math Date RegExp Array ArrayBuffer Atomics DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array
	Uint32Array Float16Array Float32Array Float64Array BigInt64Array BigUint64Array Map Set WeakMap WeakSet WeakRef FinalizationRegistry
	Promise Proxy Reflect JSON Intl WebAssembly Iterator SharedArrayBuffer TextDecoder TextEncoder`.split(/\s+/),
);

/** What Node itself asks of `process` until it ends. Nobody else can reach it; should somebody, it leads nowhere. */
const OF_PROCESS: ReadonlySet<string | symbol> = new Set(
	`version versions arch platform release argv execArgv pid nextTick emitWarning exit reallyExit exitCode hrtime _events _eventsCount
	_maxListeners _exiting _tickCallback _fatalException`.split(/\s+/),
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
			for (const key of Reflect.ownKeys(process)) if (!OF_PROCESS.has(key)) Reflect.deleteProperty(process, key);
			freezeLanguage();
		},
	};
}

/**
 * Makes every object of the language unchangeable, so that code inside cannot wait in one of them for code outside: a getter on
 * `Object.prototype` would be handed whatever Node looks a missing property up on.
 */
function freezeLanguage(): void {
	const seen = new Set<unknown>();
	const pending: unknown[] = [
		globalThis,
		(async () => {}).constructor,
		function* () {}.constructor,
		async function* () {}.constructor,
	];
	pending.push([][Symbol.iterator](), new Map().entries(), new Set().values(), ''.matchAll(/./g), ''[Symbol.iterator]());
	for (const value of pending) {
		if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) continue;
		seen.add(value);
		pending.push(Object.getPrototypeOf(value));
		for (const {value: held, get, set} of Object.values(Object.getOwnPropertyDescriptors(value))) pending.push(held, get, set);
		for (const name of ASSIGNED) keepAssignable(value, name);
		Object.freeze(value);
	}
}

/** Names that programs give to objects of their own, though a prototype has them: an assignment must not fail because that is frozen. */
const ASSIGNED = ['name', 'message', 'toString', 'constructor', 'valueOf'];

function keepAssignable(owner: object, name: string): void {
	const descriptor = Object.getOwnPropertyDescriptor(owner, name);
	if (!descriptor?.configurable || !('value' in descriptor) || typeof owner === 'function') return;
	const {value, enumerable = false} = descriptor;
	Object.defineProperty(owner, name, {
		get: () => value,
		set(this: object, own: unknown) {
			if (this !== owner) Object.defineProperty(this, name, {value: own, writable: true, enumerable: true, configurable: true});
		},
		enumerable,
		configurable: false,
	});
}

function refuse(): never {
	throw new Error('nothing can be imported here');
}

/** A shell has no random numbers of its own, so Pyodide asks it for `head -c COUNT /dev/urandom | base64`. No program is started. */
function randomFromShell(_program: string, [, command = '']: readonly string[]): string {
	const count = Number(/^head -c(\d{1,5}) \/dev\/urandom/.exec(command)?.[1] ?? 0);
	return randomBytes(count).toString('base64');
}
