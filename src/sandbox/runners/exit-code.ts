import type {ChildProcess} from 'node:child_process';
import {constants} from 'node:os';

/** The exit code of a child as a shell reports it; rejects when it could not be started. */
export function exitCodeOf(child: ChildProcess): Promise<number> {
	const {promise, resolve, reject} = Promise.withResolvers<number>();
	child.once('error', reject);
	child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
	return promise;
}
