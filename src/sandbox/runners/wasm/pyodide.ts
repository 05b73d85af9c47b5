/** Starts CPython in Wasm, with nothing of JavaScript in its reach but the file system and the streams that are given to it. */
import {closeSync, fstatSync, openSync, readFileSync, readSync, statSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import type {loadPyodide, PyodideInterface} from 'pyodide';
import {enterBareRealm} from './bare-realm.ts';
import {filesOf, type Mount} from './mounts.ts';

/** What a start may begin with: the memory of an interpreter that has started before, or the wish to keep this one's. */
type Memory = {readonly snapshot: Uint8Array | undefined; readonly keep: boolean};

/** `directory` is where the npm package lies. Afterwards nothing can be imported, and the realm has nothing of Node. */
export async function startPyodide(directory: string, {snapshot, keep}: Memory): Promise<PyodideInterface> {
	const lock = JSON.parse(readFileSync(join(directory, 'pyodide-lock.json'), 'utf8')) as {info: object};
	const realm = enterBareRealm(directory);
	const module = (await import(pathToFileURL(join(directory, 'pyodide.mjs')).href)) as {loadPyodide: typeof loadPyodide};
	const pyodide = await module.loadPyodide({
		indexURL: `${directory}/`,
		jsglobals: Object.create(null),
		// Not one package of the distribution is here: a name that is looked up in vain is a plain ModuleNotFoundError.
		lockFileContents: {info: lock.info, packages: {}} as never,
		packageBaseUrl: '',
		env: {HOME: '/tmp', LANG: 'C.UTF-8', TZ: 'UTC'},
		stdin: () => null as never,
		...(snapshot ? {_loadSnapshot: snapshot} : {}),
		...(keep ? {_makeSnapshot: true} : {}),
	});
	pyodide.setStdout({write: writer(1), isatty: false});
	pyodide.setStderr({write: writer(2), isatty: false});
	if (!keep) hideJavaScript(pyodide); // a memory that is kept is kept whole
	realm.seal();
	return pyodide;
}

/** Python sees no module that is made of JavaScript. What it holds all the same leads into the bare realm. */
function hideJavaScript(pyodide: PyodideInterface): void {
	for (const name of ['js', 'pyodide_js']) pyodide.unregisterJsModule(name);
	pyodide.runPython("import sys\nfor name in ('js', 'pyodide_js'): sys.modules.pop(name, None)");
}

function writer(descriptor: number): (bytes: Uint8Array) => number {
	return (bytes) => writeSync(descriptor, bytes);
}

/** Shows each mount at its target. A file is opened when the code opens it, and read where it lies: no copy fills the memory. */
export function mountReadOnly({FS}: PyodideInterface, mounts: readonly Mount[]): void {
	for (const {source, target} of mounts) {
		for (const file of filesOf(source, target)) addFile(FS, file.source, file.target);
		if (!FS.analyzePath(target, false).exists) FS.mkdirTree(target);
		FS.chmod(target, 0o555);
	}
}

type Stream = {host?: number; position: number};
type Reading = [memory: Uint8Array, offset: number, length: number, position: number];
type Node = {usedBytes: number; stream_ops: object};

function addFile(FS: PyodideInterface['FS'], source: string, target: string): void {
	const [folder, name] = [target.slice(0, target.lastIndexOf('/')) || '/', target.slice(target.lastIndexOf('/') + 1)];
	FS.mkdirTree(folder);
	const node = FS.createFile(folder, name, {}, true, false) as Node;
	node.usedBytes = statSync(source).size;
	node.stream_ops = {
		open(stream: Stream) {
			stream.host = openSync(source, 'r');
		},
		close(stream: Stream) {
			if (stream.host !== undefined) closeSync(stream.host);
		},
		read: ({host = -1}: Stream, ...[memory, offset, length, position]: Reading) =>
			readSync(host, memory, offset, length, position),
		llseek({host = -1, position}: Stream, offset: number, whence: number) {
			return offset + ([0, position, fstatSync(host).size][whence] ?? 0);
		},
	};
}
