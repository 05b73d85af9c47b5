import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {attackerRuntime, said, spec} from '../fixtures/attack.ts';
import {createProcessProvider} from './process.ts';
import {compileFilter, hasFilter} from './seccomp.ts';

const EPERM = 1;
const ENOSYS = 38;

/** Raw calls by x86-64 number, with the error that the filter gives. */
const CALLS: Record<string, {call: string; filtered: number}> = {
	'unshare a user namespace': {call: '272, 0x10000000', filtered: EPERM},
	'unshare nothing': {call: '272, 0', filtered: EPERM},
	'clone into a user namespace': {call: '56, 0x10000000 | 17, 0, 0, 0, 0', filtered: EPERM},
	'clone into a network namespace': {call: '56, 0x40000000 | 17, 0, 0, 0, 0', filtered: EPERM},
	clone3: {call: '435, 0, 0', filtered: ENOSYS},
	setns: {call: '308, -1, 0', filtered: EPERM},
	mount: {call: '165, 0, 0, 0, 0, 0', filtered: EPERM},
	umount2: {call: '166, 0, 0', filtered: EPERM},
	pivot_root: {call: '155, 0, 0', filtered: EPERM},
	chroot: {call: '161, 0', filtered: EPERM},
	open_tree: {call: '428, -1, 0, 0', filtered: EPERM},
	move_mount: {call: '429, -1, 0, -1, 0, 0', filtered: EPERM},
	fsopen: {call: '430, 0, 0', filtered: EPERM},
	mount_setattr: {call: '442, -1, 0, 0, 0, 0', filtered: EPERM},
	'ptrace itself': {call: '101, 0, 0, 0, 0', filtered: EPERM},
	process_vm_readv: {call: '310, os.getpid(), 0, 0, 0, 0, 0', filtered: EPERM},
	process_vm_writev: {call: '311, os.getpid(), 0, 0, 0, 0, 0', filtered: EPERM},
	bpf: {call: '321, 0, 0, 0', filtered: EPERM},
	perf_event_open: {call: '298, 0, 0, -1, -1, 0', filtered: EPERM},
	userfaultfd: {call: '323, 1', filtered: EPERM},
	io_uring_setup: {call: '425, 1, 0', filtered: EPERM},
	io_uring_enter: {call: '426, -1, 0, 0, 0, 0', filtered: EPERM},
	io_uring_register: {call: '427, -1, 0, 0, 0', filtered: EPERM},
	keyctl: {call: '250, 0, -3, 0', filtered: EPERM},
	add_key: {call: '248, 0, 0, 0, 0, 0', filtered: EPERM},
	request_key: {call: '249, 0, 0, 0, 0', filtered: EPERM},
	kexec_load: {call: '246, 0, 0, 0, 0', filtered: EPERM},
	init_module: {call: '175, 0, 0, 0', filtered: EPERM},
	finit_module: {call: '313, -1, 0, 0', filtered: EPERM},
	'make a Unix socket': {call: '41, 1, 1, 0', filtered: EPERM},
	'make an internet socket': {call: '41, 2, 1, 0', filtered: EPERM},
	'make a netlink socket': {call: '41, 16, 3, 0', filtered: EPERM},
	'send a message with descriptors': {call: '46, -1, 0, 0', filtered: EPERM},
	'watch files': {call: '254', filtered: EPERM},
	'set an extended attribute': {call: '188, 0, 0, 0, 0, 0', filtered: EPERM},
	'open by handle': {call: '304, -1, 0, 0', filtered: EPERM},
	'change personality': {call: '135, 0xffffffff', filtered: EPERM},
	'share memory by key': {call: '29, 0, 4096, 0o1600', filtered: EPERM},
	'type into a terminal with a request padded above 32 bits': {call: '16, 0, 0x100005412, 0', filtered: EPERM},
	'lease a file': {call: '72, os.open("/tmp/leased", os.O_CREAT), 1024, 0', filtered: EPERM},
	'lease a file with a command padded above 32 bits': {
		call: '72, os.open("/tmp/leased", os.O_CREAT), 0x100000400, 0',
		filtered: EPERM,
	},
	'hear what others do in a directory': {call: '72, os.open("/usr/lib", 0), 1026, 1', filtered: EPERM},
	'be signalled by a descriptor': {call: '72, 0, 10, 10', filtered: EPERM},
	'become dumpable': {call: '157, 4, 1, 0, 0, 0', filtered: EPERM},
	'a call that no table knows': {call: '460, 0, 0', filtered: ENOSYS},
};

/** These need a privilege that nobody has inside: the kernel gives the same answer without a filter. */
const DENIED_ANYWAY = ['clone into a network namespace', 'pivot_root', 'move_mount', 'fsopen'];

const errors = `answer([errno_of(syscall(*call)) for call in [${Object.values(CALLS)
	.map(({call}) => `(${call},)`)
	.join(', ')}]])`;

describe('the system call filter', {skip: process.arch !== 'x64' && 'the raw numbers of these calls are those of x86-64'}, () => {
	test('refuses what could reach beyond the sandbox', async () => {
		const provider = createProcessProvider({runtime: attackerRuntime()});
		assert.deepEqual(
			await said(provider, errors),
			Object.values(CALLS).map(({filtered}) => filtered),
		);
		await provider.close();
	});

	test('is what refuses it: without it the same calls get another answer, unless they need a privilege too', async () => {
		const provider = createProcessProvider({runtime: attackerRuntime(), seccomp: 'off', zygotes: 'off'});
		const same: string[] = [];
		for (const [name, {call, filtered}] of Object.entries(CALLS)) {
			// A call that made a process returns in both.
			const code = `pid = os.getpid()\nr = syscall(${call})\nif os.getpid() == pid: answer(errno_of(r))\nos._exit(0)`;
			if ((await said(provider, code)) === filtered) same.push(name);
		}
		assert.deepEqual(same, DENIED_ANYWAY);
		await provider.close();
	});

	test('kills a process that calls through the x32 table', async () => {
		const provider = createProcessProvider({runtime: attackerRuntime()});
		const code =
			'pid = os.fork()\nif pid == 0:\n  syscall(0x40000000 + 39)\n  os._exit(0)\nanswer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))';
		assert.equal(await said(provider, code), -31);
		await provider.close();
	});

	test('lets programs start programs, threads and pairs of sockets', async () => {
		const provider = createProcessProvider({runtime: attackerRuntime()});
		const code = `import subprocess, threading
t = threading.Thread(target=lambda: None); t.start(); t.join()
a, b = socket.socketpair(); a.send(b"x")
answer([subprocess.run(["/usr/bin/uname"], capture_output=True).stdout.decode(), b.recv(1).decode()])`;
		assert.deepEqual(await said(provider, code, spec()), ['Linux\n', 'x']);
		await provider.close();
	});
});

describe('a compiled filter', () => {
	for (const architecture of ['x64', 'arm64'] as const)
		test(`for ${architecture} checks the architecture first, refuses last and fits the kernel's limit`, () => {
			const filter = compileFilter(architecture);
			const instructions = filter.length / 8;
			const arch = {x64: 0xc000003e, arm64: 0xc00000b7}[architecture];
			assert.ok(Number.isInteger(instructions) && instructions > 100 && instructions < 4096);
			assert.equal(filter.readUInt32LE(4), 4);
			assert.equal(filter.readUInt32LE(12), arch);
			assert.equal(filter.readUInt32LE(20), 0x80000000);
			assert.equal(filter.readUInt32LE(filter.length - 4), 0x00050001);
		});

	test('exists for two architectures', () => {
		assert.deepEqual(['x64', 'arm64', 'riscv64', 'ia32'].map(hasFilter), [true, true, false, false]);
	});
});
