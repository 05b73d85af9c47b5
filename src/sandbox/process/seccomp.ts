/** Compiles the system call filter that every sandboxed process runs under: an allow-list, refused calls fail with EPERM. */
import {type Architecture, allowedCalls, type Confined, checkedCall, NEWEST_KNOWN} from './syscalls.ts';

// linux/seccomp.h, linux/audit.h and linux/bpf_common.h
const KILL = 0x80000000;
const ALLOW = 0x7fff0000;
const ERRNO = 0x00050000;
const EPERM = 1;
export const ENOSYS = 38;
const AUDIT_ARCH: Record<Architecture, number> = {x64: 0xc000003e, arm64: 0xc00000b7};
const X32_BIT = 0x40000000;
const LOAD = 0x20;
const RETURN = 0x06;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const JUMP_GREATER_OR_EQUAL = 0x35;
const JUMP_ANY_BIT = 0x45;
const AND = 0x54;

// offsets in struct seccomp_data; both instruction sets are little-endian, and every argument we look at is 32 bits wide
const NUMBER = 0;
const ARCHITECTURE = 4;
const FIRST_ARGUMENT = 16;
const SECOND_ARGUMENT = 24;
const THIRD_ARGUMENT = 32;

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. (NEWTIME cannot be asked of `clone`.) */
export const NAMESPACE_FLAGS = 0x7e020000;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const SOCK_STREAM = 1;
/** what may be said with the type of a socket: SOCK_NONBLOCK and SOCK_CLOEXEC */
export const TYPE_BITS = 0xf;
export const IPPROTO_TCP = 6;
/** FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TCGETS and TIOCGWINSZ: what libraries ask of a descriptor. No TIOCSTI, no FICLONE. */
export const DESCRIPTOR_REQUESTS = [0x541b, 0x5421, 0x5451, 0x5450, 0x5401, 0x5413];
/**
 * F_DUPFD, GETFD, SETFD, GETFL, SETFL, the locks of POSIX and of open files, F_DUPFD_CLOEXEC and F_GETPIPE_SZ. No F_SETLEASE, which
 * keeps others from opening a file, and no F_NOTIFY, which tells of what others do with one.
 */
export const DESCRIPTOR_COMMANDS = [0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032];
/** PR_SET_PDEATHSIG, GET_DUMPABLE, SET_NAME, GET_NAME, CAPBSET_READ, GET_TIMERSLACK, SET_NO_NEW_PRIVS, GET_NO_NEW_PRIVS and PR_SET_VMA. */
export const HARMLESS_CONTROLS = [1, 3, 15, 16, 23, 30, 38, 39, 0x53564d41];

/** PR_SET_SECCOMP and PR_CAPBSET_DROP. */
const CONTROLS_OF_ZYGOTES = [22, 24];

type Instruction = {readonly code: number; readonly k: number; readonly jt?: number; readonly jf?: number};

/** Whether a filter can be compiled for the processor we run on. */
export function hasFilter(architecture: string): architecture is Architecture {
	return architecture in AUDIT_ARCH;
}

/** The filter as an array of `struct sock_filter`, which is what bubblewrap reads from a descriptor. */
export function compileFilter(architecture: Architecture, confined: Confined = 'runner'): Buffer {
	const controls = confined === 'zygote' ? [...HARMLESS_CONTROLS, ...CONTROLS_OF_ZYGOTES] : HARMLESS_CONTROLS;
	const program = [
		{code: LOAD, k: ARCHITECTURE},
		...unless({code: JUMP_EQUAL, k: AUDIT_ARCH[architecture]}, KILL),
		{code: LOAD, k: NUMBER},
		...(architecture === 'x64' ? when({code: JUMP_GREATER_OR_EQUAL, k: X32_BIT}, KILL) : []),
		...when({code: JUMP_GREATER, k: NEWEST_KNOWN}, ERRNO | ENOSYS),
		...call('clone3', architecture, [ret(ERRNO | ENOSYS)]),
		...call('clone', architecture, [
			{code: LOAD, k: FIRST_ARGUMENT},
			...when({code: JUMP_ANY_BIT, k: NAMESPACE_FLAGS}, ERRNO | EPERM),
			ret(ALLOW),
		]),
		...call('socketpair', architecture, onlyFor(FIRST_ARGUMENT, [AF_UNIX])),
		...(confined === 'client' ? call('socket', architecture, onlyStreams()) : []),
		...call('ioctl', architecture, onlyFor(SECOND_ARGUMENT, DESCRIPTOR_REQUESTS)),
		...call('fcntl', architecture, onlyFor(SECOND_ARGUMENT, DESCRIPTOR_COMMANDS)),
		...call('prctl', architecture, onlyFor(FIRST_ARGUMENT, controls)),
		...allowedCalls(architecture, confined).flatMap((k) => when({code: JUMP_EQUAL, k}, ALLOW)),
		ret(ERRNO | EPERM),
	];
	return encode(program);
}

/** Runs `body`, which must end in a return, for one call. */
function call(name: Parameters<typeof checkedCall>[0], architecture: Architecture, body: Instruction[]): Instruction[] {
	return [{code: JUMP_EQUAL, k: checkedCall(name, architecture), jt: 0, jf: body.length}, ...body];
}

function onlyFor(argument: number, values: readonly number[]): Instruction[] {
	return [{code: LOAD, k: argument}, ...values.flatMap((k) => when({code: JUMP_EQUAL, k}, ALLOW)), ret(ERRNO | EPERM)];
}

/** TCP, which an empty network carries to its own loopback only, and Unix sockets, of which one leads to the proxy. */
function onlyStreams(): Instruction[] {
	const refused = ret(ERRNO | EPERM);
	return [
		{code: LOAD, k: FIRST_ARGUMENT},
		...unlessOneOf([AF_UNIX, AF_INET], refused),
		{code: LOAD, k: SECOND_ARGUMENT},
		{code: AND, k: TYPE_BITS},
		...unlessOneOf([SOCK_STREAM], refused),
		{code: LOAD, k: THIRD_ARGUMENT},
		...unlessOneOf([0, IPPROTO_TCP], refused),
		ret(ALLOW),
	];
}

function unlessOneOf(values: readonly number[], otherwise: Instruction): Instruction[] {
	return [...values.map((k, index) => ({code: JUMP_EQUAL, k, jt: values.length - index, jf: 0})), otherwise];
}

function when(condition: Instruction, action: number): Instruction[] {
	return [{...condition, jt: 0, jf: 1}, ret(action)];
}

function unless(condition: Instruction, action: number): Instruction[] {
	return [{...condition, jt: 1, jf: 0}, ret(action)];
}

function ret(action: number): Instruction {
	return {code: RETURN, k: action};
}

function encode(program: readonly Instruction[]): Buffer {
	const bytes = Buffer.alloc(program.length * 8);
	for (const [index, {code, k, jt = 0, jf = 0}] of program.entries()) {
		bytes.writeUInt16LE(code, index * 8);
		bytes.writeUInt8(jt, index * 8 + 2);
		bytes.writeUInt8(jf, index * 8 + 3);
		bytes.writeUInt32LE(k >>> 0, index * 8 + 4);
	}
	return bytes;
}

/** A filter that allows what `filter` does, `calls`, and Unix sockets. */
export function widenFilter(filter: Buffer, architecture: Architecture, calls: readonly number[]): Buffer {
	const more = [
		...call('socket', architecture, onlyFor(FIRST_ARGUMENT, [AF_UNIX])),
		...calls.flatMap((k) => when({code: JUMP_EQUAL, k}, ALLOW)),
		ret(ERRNO | EPERM),
	];
	// The last instruction refuses what none before it allowed; none before it jumps there.
	return Buffer.concat([filter.subarray(0, -8), encode(more)]);
}
