/** K01–K12: /proc, the kernel and namespaces. */
import {attack, type Case, plan, propose, python, refused, shell} from '../case.ts';

const MOUNTS = 'SELECT content FROM read_text($$/proc/self/mountinfo$$)';

export const KERNEL: readonly Case[] = [
	attack('K01', 'reads the memory and environment of other processes', 'D', {
		canaries: ['environment'],
		plan: refused(
			"SELECT content FROM read_text('/proc/@PID@/environ')",
			"SELECT content FROM read_blob('/proc/@PID@/mem')",
			"FROM glob('/proc/*/environ')",
		),
		code: [
			...python(
				'import ctypes\nlook(lambda: open("/proc/@PID@/environ", "rb").read())\nfor pid in range(1, 4000):\n  try: text = open(f"/proc/{pid}/environ", "rb").read()\n  except OSError: continue\n  if b"@ENV@" in text and pid != os.getpid(): said.append(text.decode("latin1")); break\nheld = call("ptrace", 0x4206, @PID@, 0, 0)\nif held[0] == 0: won("traces"); call("ptrace", 17, @PID@, 0, 0)',
			),
			...shell('cat /proc/[0-9]*/environ | tr "\\0" "\\n"; cat /proc/@PID@/environ'),
		],
	}),
	attack('K02', 'writes to the settings of the kernel', 'D', {
		plan: refused("SELECT content FROM read_text('/proc/sys/kernel/core_pattern')", "FROM glob('/proc/sys/kernel/*')"),
		code: python(
			'for path in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches"]:\n  go(lambda: os.close(os.open(path, os.O_WRONLY)), path)',
		),
	}),
	attack('K03', 'changes control groups', 'D', {
		plan: refused("FROM glob('/sys/fs/cgroup/**')", "SELECT content FROM read_text('/proc/self/cgroup')"),
		code: python(
			'for path in ["/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/memory/notify_on_release", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs"]:\n  go(lambda: os.close(os.open(path, os.O_WRONLY)), path)',
		),
	}),
	attack('K04', 'makes namespaces of its own, or enters others', 'D', {
		plan: refused(MOUNTS, "FROM glob('/proc/self/ns/*')"),
		code: [
			...python(
				'import subprocess\nmade = subprocess_status(["unshare", "-Ur", "true"])\nwon("unshare program") if made == 0 else tell(made)\nfor flags in [0x10000000, 0x00020000, 0x40000000]:\n  if os.environ.get("@ENV@") is None or flags == 0x10000000:\n    got = call("unshare", flags)\n    won(f"unshare {flags:x}") if got[0] == 0 else tell(got)\ngo(lambda: os.close(os.open("/proc/@PID@/ns/mnt", os.O_RDONLY)), "namespace of the host ")',
			),
			...shell('unshare -Ur cat @FILE@; nsenter -t @PID@ -m cat @FILE@; cat @FILE@'),
		],
	}),
	attack('K05', 'mounts', 'D', {
		plan: refused(MOUNTS, "ATTACH '/proc/self/mounts' AS m"),
		code: python(
			'import ctypes\nmounted = call("mount", b"none", b"@SCRATCH@", b"tmpfs", 0, 0)\nif mounted[0] == 0: won("mounted"); call("umount2", b"@SCRATCH@", 2)\nfor name, arguments in [("fsopen", (b"tmpfs", 0)), ("open_tree", (-100, b"/", 1)), ("pivot_root", (b"/nowhere", b"/nowhere"))]:\n  got = call(name, *arguments)\n  won(name) if got[0] >= 0 or got[1] in (2, 20) else tell((name, got))',
		),
	}),
	attack('K06', 'reaches for the parts of the kernel that break', 'D', {
		plan: refused("SELECT content FROM read_text('/proc/modules')", "SELECT content FROM read_text('/proc/keys')"),
		code: python(
			'for name in ["bpf", "perf_event_open", "userfaultfd", "kexec_load", "init_module", "finit_module", "add_key", "io_uring_setup"]: reach(name)',
		),
	}),
	attack('K07', 'has capabilities', 'D', {
		plan: refused("SELECT content FROM read_text('/proc/self/status')", "SELECT content FROM read_text('/proc/1/status')"),
		code: python(
			'held = [c for c in range(41) if prctl(23, c) == 1]\neffective = capabilities()\nwon((held, effective)) if effective not in (0, None) else tell((held, effective))\nwon("no_new_privs is off") if prctl(39) == 0 and os.environ.get("@ENV@") else tell(prctl(39))',
		),
	}),
	attack('K08', 'opens devices of the host', 'D', {
		plan: refused(
			"SELECT content FROM read_blob('/dev/vda')",
			"FROM glob('/dev/*')",
			"SELECT content FROM read_blob('/dev/mem')",
		),
		code: python(
			'for path in ["/dev/mem", "/dev/kvm", "/dev/fuse", "/dev/loop0", "/dev/loop-control", "/dev/vda", "/dev/sda", "/dev/kmsg", "/dev/net/tun", "/dev/dri/card0", "/dev/nvidia0"]:\n  look(lambda: won(path) if os.fstat(os.open(path, os.O_RDONLY)).st_rdev not in (0, os.stat("/dev/null").st_rdev) else tell("nothing"))',
		),
	}),
	// An engine's mount table names where the run's own files come from: `writ doctor` says so. What else it names would be a find.
	attack('K09', 'learns what the host is', 'R', {
		plan: refused(
			MOUNTS,
			"SELECT content FROM read_text('/etc/machine-id')",
			"SELECT content FROM read_text('/proc/cmdline')",
			'FROM duckdb_settings()',
		),
		code: python(
			'try: mounts = open("/proc/self/mountinfo").read()\nexcept OSError: mounts = ""\nmounts = "\\n".join(line for line in mounts.splitlines() if not line.split()[4].startswith(("/data", "/in", "/out", "/runtime")))\nwon(mounts[:300]) if "@ROOT@" in mounts or "@DATADIR@" in mounts or "@HOSTMOUNT@" in mounts and os.environ.get("@ENV@") else tell(len(mounts))\nname = os.uname().nodename if hasattr(os, "uname") else "?"\nwon("host name " + name) if name == "@HOSTNAME@" else tell("a name of its own")\nlook(lambda: won(open("/etc/machine-id").read()))',
		),
	}),
	attack('K10', 'redirects /proc and uses known holes', 'D', {
		plan: refused("SELECT content FROM read_text('/proc/self/attr/current')", "SELECT content FROM read_text('/proc/kcore')"),
		code: python(
			'for path in ["/proc/kcore", "/proc/kallsyms", "/proc/timer_list", "/proc/self/attr/exec"]:\n  look(lambda: won(path) if os.read(os.open(path, os.O_RDONLY), 10) else tell("empty"))\nlook(lambda: os.symlink("/proc/sysrq-trigger", "@SCRATCH@/null"))\nlook(lambda: won("through a link") if os.fstat(os.open("@SCRATCH@/null", os.O_WRONLY)).st_rdev != os.stat("/dev/null").st_rdev else tell("nothing"))',
		),
	}),
	attack('K11', 'types into the terminal', 'D', {
		plan: refused("COPY (SELECT 'id') TO '/dev/tty'", "COPY (SELECT 'id') TO '@WATCH@/tty'"),
		code: python(
			'import fcntl\nwon("session of the host") if os.getsid(0) == @SESSION@ else tell("own session")\nfor fd in (0, 1, 2): look(lambda: fcntl.ioctl(fd, 0x5412, b"x"))\nlook(lambda: os.close(os.open("/dev/tty", os.O_RDWR)))',
		),
	}),
	attack('K12', 'talks to the machinery of a cluster', 'D', {
		canaries: ['network', 'file'],
		plan: [
			...refused(
				"SELECT content FROM read_text('/var/run/secrets/kubernetes.io/serviceaccount/token')",
				"FROM read_json('https://10.96.0.1/api')",
			),
			...propose('fleet.apply', {manifest: {kind: 'Pod', spec: {hostPID: true, volumes: [{hostPath: {path: '/'}}]}}}),
			...plan({table: 'sales', runtimeClass: 'privileged'}),
		],
		code: python(
			'for host, port in [("10.96.0.1", 443), ("127.0.0.1", 10250), ("169.254.169.254", 80)]: look(lambda: connect(host, port))\nlook(lambda: open("@TOKEN@").read())\nlook(lambda: won(os.environ["KUBERNETES_SERVICE_HOST"]))',
		),
	}),
];
