/** What a program that runs Chromium gets beyond every other: its own processes in `/proc`, shared memory, and a way to talk among themselves. */
import type {SandboxLimits} from '#contract/sandbox.ts';
import type {Program} from '../runtime.ts';
import {hasFilter, widenFilter} from './seccomp.ts';
import {browserCalls} from './syscalls.ts';

/** Stands before the other arguments of bubblewrap, which then makes the root read-only. `/proc` shows the sandbox's processes alone. */
export function browserArguments({browser = false}: Program, {scratchBytes}: SandboxLimits): Buffer {
	if (!browser) return Buffer.alloc(0);
	const options = ['--proc', '/proc', '--perms', '1777', '--size', String(scratchBytes), '--tmpfs', '/dev/shm'];
	return Buffer.from(`${options.join('\0')}\0`);
}

/** The filter of the host, or the wider one. Chromium's processes use Unix sockets; there is still no socket that reaches a network. */
export function filterFor({browser = false}: Program, filter: Buffer): Buffer {
	return browser && hasFilter(process.arch) ? widenFilter(filter, process.arch, browserCalls(process.arch)) : filter;
}
