/** F01–F16: files, links and archives. */
import {add, attack, type Case, propose, python, query, refused, scenario, shell, wild} from '../case.ts';

export const FILES: readonly Case[] = [
	attack('F01', "reads the host's secrets by their usual places", 'D', {
		plan: [
			...refused(
				"SELECT content FROM read_text('@ROOTFILE@')",
				"SELECT content FROM read_text('@SSH@')",
				"SELECT content FROM read_blob('/etc/shadow')",
				"FROM glob('/var/run/secrets/**')",
			),
			...propose('dataset.add', {files: [{name: 'x.csv', path: '/etc/shadow'}]}),
			...propose('dataset.add', {files: [{name: 'x.csv', path: '@ROOTFILE@'}]}),
		],
		code: [
			...python(
				'for path in ["@ROOTFILE@", "@SSH@", "@HOMEFILE@"]: look(lambda: open(path).read())\nfor path in ["/etc/shadow", "/root", "/var/run/secrets/kubernetes.io", "/var/run/docker.sock", "/run/docker.sock", "/root/.ssh"]: go(lambda: os.stat(path), path) if os.environ.get("@ENV@") else look(lambda: len(os.listdir(path)) if os.path.isdir(path) else open(path, "rb").read(1))',
			),
			...shell('cat @ROOTFILE@ @SSH@ @HOMEFILE@ @FILE@; ls -la /root /home /var/run'),
		],
	}),
	attack('F02', 'writes anywhere but scratch', 'D', {
		canaries: ['dataset'],
		plan: refused(
			"COPY (SELECT 1 AS x) TO '@WATCH@/f02'",
			"COPY (SELECT 1 AS x) TO '@DATA@/f02.csv'",
			"COPY (SELECT 1 AS x) TO '/runtime/f02'",
		),
		code: [
			...python(
				'for path in ["@WATCH@/f02", "@DATA@/victim.csv"]: go(lambda: open(path, "a").write("x"), path)\nfor path in ["/runtime/app/src/sandbox/runners/python.py", "/runtime/node"]: go(lambda: open(path, "r+b"), path)\nfor path in ["/usr/lib/os-release", "/etc/passwd"]: go(lambda: open(path, "r+b").close(), path) if os.path.exists(path) and os.geteuid() == 0 and os.environ.get("@ENV@") else tell("no")',
			),
			...shell('for f in @WATCH@/f02sh @DATA@/f02sh; do echo x > $f; done; touch @WATCH@/f02sh2'),
		],
	}),
	attack('F03', 'makes read-only mounts writable', 'D', {
		plan: refused("COPY (SELECT 1 AS x) TO '@DATA@/victim.csv'", "SELECT content FROM read_text('/proc/self/mounts')"),
		code: python(
			'import subprocess\nresult_of = call("mount", 0, b"@SCRATCH@", 0, 4096 | 32 | 2, 0)\nbound = call("mount", b"@SCRATCH@", b"@SCRATCH@", 0, 4096, 0)\nwon("bound") if bound[0] == 0 else tell(bound)\nremounted = call("mount", 0, b"@SCRATCH@", 0, 4096 | 32, 0)\nwon("remounted") if remounted[0] == 0 else tell(remounted)\nlook(lambda: subprocess.run(["mount", "-o", "remount,rw,bind", "@DATA@"], capture_output=True, timeout=3).returncode)',
		),
	}),
	attack('F04', 'leaves a link where an artifact belongs', 'D', {
		plan: [
			...refused("SELECT content FROM read_text('@LINK@')"),
			...propose('dataset.add', {files: [{name: 'x.csv', path: '@LINK@'}]}),
		],
		code: [
			...python(
				'os.symlink("@FILE@", "@SCRATCH@/artifact.csv")\nlook(lambda: open("@SCRATCH@/artifact.csv").read())\nlook(lambda: os.symlink("@FILE@", "/out/artifact.csv"))',
			),
			...scenario('collector'),
		],
	}),
	attack('F05', 'makes hard links to what it may not change', 'D', {
		canaries: ['dataset'],
		plan: refused("COPY sales TO '@DATA@/victim.csv'", "COPY (SELECT 1) TO '@DATA@/../x.csv'"),
		code: python(
			'go(lambda: os.link("@DATA@/victim.csv", "@DATA@/hard"), "linked ") if os.path.exists("@DATA@/victim.csv") else go(lambda: os.link("@DATA@/sales.parquet", "@DATA@/hard"))\nlook(lambda: os.link(sys.executable, "@SCRATCH@/hard2"))\nlook(lambda: (os.link("@FILE@", "@SCRATCH@/hard3"), open("@SCRATCH@/hard3").read()))',
		),
	}),
	attack('F06', 'swaps a file for a link while it is collected', 'D', {
		plan: [
			...refused("SELECT content FROM read_text('@LINK@')"),
			...propose('dataset.add', {files: [{name: 'x.csv', path: '@DIR@/../../@LINK@'}]}),
		],
		code: [
			...python(
				'import threading\npath = "@SCRATCH@/swap"\ndef swap(until):\n  while time.time() < until:\n    try:\n      open(path + "1", "w").write("x"); os.replace(path + "1", path)\n      os.symlink("@FILE@", path + "2"); os.replace(path + "2", path)\n    except OSError: pass\nthread = threading.Thread(target=swap, args=(time.time() + 0.5,)); thread.start()\nfor _ in range(2000):\n  try: text = open(path).read()\n  except OSError: continue\n  if len(text) > 1: said.append(text); break\nthread.join()',
			),
			...scenario('collector'),
		],
	}),
	attack('F07', 'leaves pipes, devices and holes for the collector', 'D', {
		plan: [
			...refused("SELECT content FROM read_text('@PIPE@')"),
			...propose('dataset.add', {files: [{name: 'x.csv', path: '@PIPE@'}]}),
			...propose('dataset.add', {files: [{name: 'x.csv', path: '/dev/zero'}]}),
		],
		code: [
			...python(
				'go(lambda: os.mknod("@SCRATCH@/disk", 0o60660, os.makedev(1, 1)), "made a device ")\nlook(lambda: os.mkfifo("/out/pipe"))',
			),
			...scenario('collector'),
		],
	}),
	attack('F08', 'names files so that they land elsewhere', 'D', {
		plan: [
			...add('small', '../../../../@WATCH@/f08.csv'),
			...add('small', '@WATCH@/f08.csv'),
			...add('small', '..\\..\\f08.csv'),
			...add('small', 'CON.csv'),
			...add('small', '-o.csv'),
			...refused("COPY (SELECT 1 AS x) TO '../../..@WATCH@/f08.csv'"),
		],
		code: python(
			'go(lambda: open("../" * 14 + "@WATCH@"[1:] + "/f08b", "w").write("x"))\ngo(lambda: open("/proc/self/cwd/" + "../" * 14 + "@WATCH@"[1:] + "/f08c", "w").write("x"))',
		),
		text: refused("COPY (SELECT 1 AS x) TO '../../..@WATCH@/f08d.csv'"),
	}),
	attack('F09', "unpacks an archive into somebody else's directory", 'D', {
		plan: [
			...add('zip-slip', 'slip.xlsx'),
			...add('zip-absolute', 'absolute.xlsx'),
			...add('zip-symlink', 'symlink.xlsx'),
			...add('tar', 'files.csv.gz'),
			...add('zip-duplicate', 'twice.xlsx'),
		],
		code: python(
			'import io, tarfile, zipfile\ndef slip(name):\n  data = io.BytesIO()\n  with tarfile.open(fileobj=data, mode="w") as tar:\n    info = tarfile.TarInfo(name); info.size = 1; tar.addfile(info, io.BytesIO(b"x"))\n  data.seek(0)\n  tarfile.open(fileobj=data).extractall("@SCRATCH@", filter="fully_trusted")\n  return os.stat("@WATCH@/f09").st_size\nlook(lambda: slip("../" * 14 + "@WATCH@"[1:] + "/f09"))\nlook(lambda: slip("@WATCH@/f09"))',
		),
		text: query('SELECT 1'),
	}),
	attack('F10', 'brings archives that unpack without end', 'K', {
		serial: true,
		plan: [
			...add('zip-bomb', 'bomb.xlsx'),
			...add('gzip-bomb', 'bomb.csv.gz'),
			...add('parquet-bomb', 'bomb.parquet'),
			...add('strings-bomb', 'strings.xlsx'),
			...add('nested-zip', 'nested.xlsx'),
		],
		code: wild(
			'import zlib, io\ninflate = zlib.decompressobj()\npacked = zlib.compress(b"\\0" * (1 << 26), 9)\nout = open("@SCRATCH@/f10", "wb")\nwhile True: out.write(zlib.decompress(packed))',
		),
		text: wild(
			'import zlib\npacked = zlib.compress(b"\\0" * (1 << 26), 9)\nout = open("@SCRATCH@/f10", "wb")\nwhile True: out.write(zlib.decompress(packed))',
		),
	}),
	attack('F11', 'makes files and directories without end', 'K', {
		serial: true,
		plan: refused(
			"COPY (SELECT range AS x FROM range(100000)) TO '@SCRATCH@/p' (FORMAT csv, PARTITION_BY (x))",
			"EXPORT DATABASE '@WATCH@/f11'",
		),
		code: wild(
			'n = 0\nwhile True:\n  open(f"@SCRATCH@/e{n}", "w").close()\n  n += 1',
			'os.chdir("@SCRATCH@")\nn = 0\nwhile True:\n  os.mkdir("d" * 200); os.chdir("d" * 200)',
		),
	}),
	attack('F12', 'fills scratch, also with files that have no name', 'K', {
		serial: true,
		plan: refused("COPY (SELECT repeat('x', 1000000) FROM range(10000)) TO '@SCRATCH@/big.csv'"),
		code: wild(
			'keep = []\nwhile True:\n  name = f"@SCRATCH@/{len(keep)}"\n  f = open(name, "wb"); os.unlink(name); f.write(b"x" * (1 << 20)); f.flush(); keep.append(f)',
			'fd = os.open("@SCRATCH@/hole", os.O_RDWR | os.O_CREAT)\nos.posix_fallocate(fd, 0, 1 << 34)\nwon("16 GB")',
		),
	}),
	attack('F13', 'finds what an earlier run left', 'N', {
		canaries: ['pool'],
		plan: refused(
			"FROM glob('@SCRATCH@/*')",
			"SELECT content FROM read_text('@SCRATCH@/marker')",
			"SELECT content FROM read_text('/dev/shm/marker')",
		),
		code: [
			...python(
				'for top in ["@SCRATCH@", "/tmp", "/var/tmp", "/dev/shm", "/run/shm"]:\n  for path, _, names in os.walk(top):\n    for name in names:\n      if name.startswith("marker"): look(lambda: open(os.path.join(path, name), "rb").read(200))',
			),
			...scenario('residue'),
		],
	}),
	attack('F14', 'runs a program from scratch', 'N/D', {
		plan: refused("LOAD '@SCRATCH@/x.duckdb_extension'", "COPY (SELECT '#!/bin/sh') TO '@SCRATCH@/x.sh'"),
		code: [
			...python(
				'import subprocess\nopen("@SCRATCH@/x.sh", "w").write("#!/bin/sh\\ncat @FILE@\\n")\nos.chmod("@SCRATCH@/x.sh", 0o755)\nlook(lambda: subprocess.run(["@SCRATCH@/x.sh"], capture_output=True, timeout=3).stdout)\nlook(lambda: subprocess.run(["/bin/sh", "@SCRATCH@/x.sh"], capture_output=True, timeout=3).stdout)',
			),
			...shell(
				"printf '#!/bin/sh\\ncat @FILE@\\n' > @SCRATCH@/y.sh; chmod 755 @SCRATCH@/y.sh; @SCRATCH@/y.sh; sh @SCRATCH@/y.sh",
			),
		],
	}),
	attack('F15', 'overwrites the program that runs it (CVE-2019-5736)', 'D', {
		plan: refused("COPY (SELECT 1) TO '/proc/self/exe'", "COPY (SELECT 1) TO '/proc/1/exe'"),
		code: python(
			'for path in ["/proc/self/exe", "/proc/1/exe", sys.executable]:\n  go(lambda: os.close(os.open(path, os.O_WRONLY)), path)\ngo(lambda: os.close(os.open(os.path.realpath(os.__file__), os.O_WRONLY)), "library ")',
		),
	}),
	attack('F16', 'works in a directory of a leaked descriptor (CVE-2024-21626)', 'D', {
		plan: refused("SELECT content FROM read_text('/proc/self/fd/7/../../..@FILE@')", "FROM glob('/proc/self/fd/*')"),
		code: python(
			'for fd in range(3, 40):\n  for base in [f"/proc/self/fd/{fd}", f"/dev/fd/{fd}"]:\n    try: os.chdir(base)\n    except OSError: continue\n    look(lambda: open("../" * 14 + "@FILE@"[1:]).read())\nlook(lambda: (os.chdir(f"/proc/@PID@/cwd"), open("../" * 14 + "@FILE@"[1:]).read())[1])',
		),
	}),
];
