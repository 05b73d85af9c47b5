/** The two instruction sets we can filter for, as Node names them. */
export type Architecture = 'x64' | 'arm64';

/**
 * Calls that the runners (Node, DuckDB, CPython with numpy) make and that reach nothing beyond the sandbox, as `name:x64:arm64`;
 * `-` where the instruction set has no such call. Everything else is refused. Numbers are the kernel's ABI and never change.
 */
const ALLOWED = `
access:21:- alarm:37:- arch_prctl:158:- brk:12:214 chdir:80:49 chmod:90:- clock_getres:229:114 clock_gettime:228:113
clock_nanosleep:230:115 close:3:57 close_range:436:436 copy_file_range:326:285 creat:85:- dup:32:23 dup2:33:-
dup3:292:24 epoll_create:213:- epoll_create1:291:20 epoll_ctl:233:21 epoll_pwait:281:22 epoll_pwait2:441:441
epoll_wait:232:- eventfd:284:- eventfd2:290:19 execve:59:221 execveat:322:281 exit:60:93 exit_group:231:94
faccessat:269:48 faccessat2:439:439 fadvise64:221:223 fallocate:285:47 fchdir:81:50 fchmod:91:52 fchmodat:268:53
fdatasync:75:83 fgetxattr:193:10 flistxattr:196:13 flock:73:32 fork:57:- fstat:5:80 fstatfs:138:44
fsync:74:82 ftruncate:77:46 futex:202:98 futimesat:261:- get_mempolicy:239:236 get_robust_list:274:100 getcpu:309:168
getcwd:79:17 getdents:78:- getdents64:217:61 getegid:108:177 geteuid:107:175 getgid:104:176 getgroups:115:158
getitimer:36:102 getpeername:52:205 getpgid:121:155 getpgrp:111:- getpid:39:172 getppid:110:173 getpriority:140:141
getrandom:318:278 getresgid:120:150 getresuid:118:148 getrlimit:97:163 getrusage:98:165 getsid:124:156
getsockname:51:204 getsockopt:55:209 gettid:186:178 gettimeofday:96:169 getuid:102:174 getxattr:191:8 kill:62:129
lgetxattr:192:9 link:86:- linkat:265:37 listxattr:194:11 llistxattr:195:12 lseek:8:62 lstat:6:- madvise:28:233
membarrier:324:283 mincore:27:232 mkdir:83:- mkdirat:258:34 mlock:149:228 mmap:9:222
mprotect:10:226 mremap:25:216 msync:26:227 munlock:150:229 munmap:11:215 nanosleep:35:101 newfstatat:262:79 open:2:-
openat:257:56 pause:34:- pipe:22:- pipe2:293:59 pkey_alloc:330:289 pkey_free:331:290 pkey_mprotect:329:288 poll:7:-
ppoll:271:73 pread64:17:67 preadv:295:69 preadv2:327:286 prlimit64:302:261 pselect6:270:72 pwrite64:18:68 pwritev:296:70
pwritev2:328:287 read:0:63 readlink:89:- readlinkat:267:78 readv:19:65 recvfrom:45:207 rename:82:- renameat:264:38
renameat2:316:276 restart_syscall:219:128 rmdir:84:- rseq:334:293 rt_sigaction:13:134 rt_sigpending:127:136
rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigsuspend:130:133 rt_sigtimedwait:128:137 sched_get_priority_max:146:125
sched_get_priority_min:147:126 sched_getaffinity:204:123 sched_getparam:143:121 sched_getscheduler:145:120
sched_rr_get_interval:148:127 sched_yield:24:124 select:23:- sendfile:40:71 sendto:44:206 set_robust_list:273:99
set_tid_address:218:96 setitimer:38:103 setpgid:109:154 setrlimit:160:164 setsid:112:157 shutdown:48:210
sigaltstack:131:132 stat:4:- statfs:137:43 statx:332:291 symlink:88:- symlinkat:266:36 sync_file_range:277:84
sysinfo:99:179 tgkill:234:131 time:201:- timer_create:222:107 timer_delete:226:111 timer_getoverrun:225:109
timer_gettime:224:108 timer_settime:223:110 timerfd_create:283:85 timerfd_gettime:287:87 timerfd_settime:286:86
times:100:153 tkill:200:130 truncate:76:45 umask:95:166 uname:63:160 unlink:87:- unlinkat:263:35 utime:132:-
utimensat:280:88 utimes:235:- vfork:58:- wait4:61:260 waitid:247:95 write:1:64 writev:20:66`;

/** What a zygote must do besides, to put its children into sandboxes; each child then takes on the narrower filter. */
const FOR_ZYGOTES = `
capget:125:90 capset:126:91 mount:165:40 move_mount:429:429 pidfd_open:434:434 pivot_root:155:41 recvmsg:47:212 sendmsg:46:211 setgroups:116:159
sethostname:170:161 setns:308:268 setresgid:119:149 setresuid:117:147 umount2:166:39 unshare:272:97`;

/** What clients and the forwarder of a sandbox with a way out do besides; seccomp.ts says with which sockets. */
const FOR_CLIENTS = `
accept:43:202 accept4:288:242 bind:49:200 connect:42:203 listen:50:201 setsockopt:54:208`;

/** Calls that are allowed for some arguments only; seccomp.ts says which. `clone3` hides its flags behind a pointer: it never is. */
const CHECKED = {
	clone: [56, 220],
	clone3: [435, 435],
	socketpair: [53, 199],
	ioctl: [16, 29],
	fcntl: [72, 25],
	prctl: [157, 167],
	socket: [41, 198],
} as const;

/** Calls newer than the tables. The C library expects ENOSYS from a kernel that lacks one, and falls back. */
export const NEWEST_KNOWN = 450;

const COLUMN = {x64: 1, arm64: 2} as const;

/** Whom a filter is for: a runner, one that has a way out, or the zygote that runners are forked from. */
export type Confined = 'runner' | 'client' | 'zygote';

const TABLES: Readonly<Record<Confined, string>> = {
	runner: ALLOWED,
	client: ALLOWED + FOR_CLIENTS,
	zygote: ALLOWED + FOR_ZYGOTES,
};

/** The numbers of the calls that are allowed whatever their arguments. */
export function allowedCalls(architecture: Architecture, confined: Confined): readonly number[] {
	return entriesFor(architecture, TABLES[confined]).map((entry) => Number(entry[COLUMN[architecture]]));
}

/** The same calls by name, for those who know the numbers themselves. */
export function allowedNames(architecture: Architecture, confined: Confined): readonly string[] {
	return entriesFor(architecture, TABLES[confined]).map(([name = '']) => name);
}

function entriesFor(architecture: Architecture, table: string): readonly string[][] {
	const entries = table
		.trim()
		.split(/\s+/)
		.map((entry) => entry.split(':'));
	return entries.filter((entry) => entry[COLUMN[architecture]] !== '-');
}

export function checkedCall(name: keyof typeof CHECKED, architecture: Architecture): number {
	return CHECKED[name][architecture === 'x64' ? 0 : 1];
}

/** What the processes of Chromium call to talk to each other. */
const FOR_BROWSERS = [
	['accept4', 288, 242],
	['bind', 49, 200],
	['connect', 42, 203],
	['listen', 50, 201],
	['recvmsg', 47, 212],
	['sendmsg', 46, 211],
	['setsockopt', 54, 208],
] as const;

export function browserCalls(architecture: Architecture): readonly number[] {
	return FOR_BROWSERS.map((entry) => entry[COLUMN[architecture]]);
}
