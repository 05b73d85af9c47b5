/** The system call filter of `seccomp.ts` in the words of a container engine: its runtime compiles it and applies it last of all. */
import {
	AF_INET,
	AF_UNIX,
	DESCRIPTOR_COMMANDS,
	DESCRIPTOR_REQUESTS,
	ENOSYS,
	HARMLESS_CONTROLS,
	IPPROTO_TCP,
	NAMESPACE_FLAGS,
	SOCK_STREAM,
	TYPE_BITS,
} from '../process/seccomp.ts';
import {type Architecture, allowedNames, type Confined} from '../process/syscalls.ts';

const ARCHITECTURES: Record<Architecture, string> = {x64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64'};

type Argument = {index: number; value: number; valueTwo?: number; op: string};

/** As seccomp.ts says it of a client: TCP and Unix sockets. */
const STREAMS: readonly (readonly Argument[])[] = [AF_UNIX, AF_INET].flatMap((family) =>
	[0, IPPROTO_TCP].map((protocol) => [
		{index: 0, value: family, op: 'SCMP_CMP_EQ'},
		{index: 1, value: TYPE_BITS, valueTwo: SOCK_STREAM, op: 'SCMP_CMP_MASKED_EQ'},
		{index: 2, value: protocol, op: 'SCMP_CMP_EQ'},
	]),
);

type Rule = {names: readonly string[]; action: string; errnoRet?: number; args?: readonly Argument[]};

/**
 * As JSON, for `security-opt seccomp=`. What is not named fails with EPERM; what is newer than every name with ENOSYS, by the runtime.
 * gVisor can say nothing but EPERM, which the C library does not take for a missing `clone3`: there the call is let through, to a
 * kernel that is not the machine's.
 */
export function seccompProfile(
	architecture: Architecture,
	{gvisor, confined}: {gvisor: boolean; confined: Exclude<Confined, 'zygote'>},
): string {
	const allow = (names: readonly string[], args?: readonly Argument[]): Rule => ({
		...{names, action: 'SCMP_ACT_ALLOW'},
		...(args ? {args} : {}),
	});
	const onlyFor = (name: string, index: number, values: readonly number[]) =>
		values.map((value) => allow([name], [{index, value, op: 'SCMP_CMP_EQ'}]));
	return JSON.stringify({
		defaultAction: 'SCMP_ACT_ERRNO',
		architectures: [ARCHITECTURES[architecture]],
		syscalls: [
			allow(allowedNames(architecture, confined)),
			gvisor ? allow(['clone3']) : {names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS},
			allow(['clone'], [{index: 0, value: NAMESPACE_FLAGS, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ'}]),
			...onlyFor('socketpair', 0, [AF_UNIX]),
			...(confined === 'client' ? STREAMS.map((stream) => allow(['socket'], stream)) : []),
			...onlyFor('ioctl', 1, DESCRIPTOR_REQUESTS),
			...onlyFor('fcntl', 1, DESCRIPTOR_COMMANDS),
			...onlyFor('prctl', 0, HARMLESS_CONTROLS),
		],
	});
}
