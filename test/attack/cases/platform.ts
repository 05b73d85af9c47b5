/** J01–J10: what reaches for the platform's own process through what it is sent. */
import {add, attack, type Case, javascript, propose, python, query, refused, scenario} from '../case.ts';

/** What it saw, or the name of what stopped it. */
const seen = (imports: string, expression: string) =>
	javascript(
		`${imports}\nlet result;\ntry { result = ${expression} } catch (error) { result = String(error.code ?? error.name) }\nglobalThis.result = result;`,
	);

const VIA_NODE = (script: string) =>
	python(
		`import subprocess\nfor node in ["@NODE@", "/runtime/node", "/usr/bin/node"]:\n  look(lambda: subprocess.run([node, "-e", ${JSON.stringify(script)}], capture_output=True, timeout=2.5).stdout)`,
	);

export const PLATFORM: readonly Case[] = [
	attack('J01', 'loads native code into Node', 'N', {
		plan: refused("LOAD '@WATCH@/addon.node'", "SELECT process_binding('fs')"),
		code: [
			...VIA_NODE("console.log(process.binding('fs') && require('fs').readFileSync('@FILE@','utf8'))"),
			...seen("import {readFileSync} from 'node:fs';", "process.binding('fs') && readFileSync('@FILE@', 'utf8')"),
		],
	}),
	attack('J02', 'pollutes prototypes through the JSON of a plan', 'P', {
		plan: [
			...propose('analyst.query_plan', {
				dataset_id: '@DATASET@',
				plan: JSON.parse('{"table":"sales","constructor":{"prototype":{"polluted":1}}}'),
			}),
			...propose('analyst.query_plan', JSON.parse('{"dataset_id":"@DATASET@","plan":{"table":"__proto__"}}')),
			...propose('analyst.sql', JSON.parse('{"dataset_id":"@DATASET@","sql":"FROM sales","__proto__":{"x":1},"tenant":"rival"}')),
			...propose('analyst.sql', JSON.parse('{"dataset_id":"__proto__","sql":"SELECT 1"}')),
			...propose('constructor', {}),
			...propose('__proto__', {}),
			...propose('toString', {}),
		],
		code: [
			...VIA_NODE(
				"const o=JSON.parse('{\"__proto__\":{\"x\":1}}');const m={};for(const k in o)m[k]=o[k];Object.assign(Object.getPrototypeOf({}),o.__proto__);console.log({}.x, require('fs').readFileSync('@FILE@','utf8'))",
			),
			...scenario('prototypesIntact'),
			...seen("import {readFileSync} from 'node:fs';", "(Object.prototype.polluted = 1) && readFileSync('@FILE@', 'utf8')"),
		],
	}),
	attack('J03', 'escapes from a sandbox made of JavaScript', 'N', {
		plan: refused("SELECT eval_js('1')", "FROM query('SELECT 1')"),
		code: [
			...VIA_NODE(
				"const vm=require('vm');console.log(vm.runInNewContext('this.constructor.constructor(\"return process\")()').getBuiltinModule('fs').readFileSync('@FILE@','utf8'))",
			),
			...seen(
				"import vm from 'node:vm';",
				"vm.runInNewContext('this.constructor.constructor(\"return process\")()').getBuiltinModule('fs').readFileSync('@FILE@', 'utf8')",
			),
		],
	}),
	attack('J04', 'slips past the permissions of Node by a link or a socket', 'D', {
		canaries: ['file', 'network'],
		plan: refused("SELECT content FROM read_text('@LINK@')", "FROM read_csv('@LINK@/../file')"),
		code: [
			...python(
				'os.symlink("@FILE@", "@SCRATCH@/j04")\nlook(lambda: open("@SCRATCH@/j04").read())\nlook(lambda: open("@LINK@").read())',
			),
			...python('def unix():\n  s = socket.socket(socket.AF_UNIX)\n  s.connect("@SOCKET@")\n  return s.recv(99)\nlook(unix)'),
			...seen(
				"import {readFileSync, symlinkSync} from 'node:fs';",
				"(symlinkSync('@FILE@', '@SCRATCH@/j04js'), readFileSync('@SCRATCH@/j04js', 'utf8'))",
			),
			...seen(
				"import net from 'node:net';",
				"await new Promise((resolve) => net.connect('@SOCKET@').on('data', (chunk) => resolve(String(chunk))).on('error', (error) => resolve(error.code)))",
			),
		],
	}),
	attack('J05', 'steers Node by its environment and opens its inspector', 'D', {
		plan: refused("SELECT getenv('NODE_OPTIONS')", "SET VARIABLE NODE_OPTIONS = '--inspect'"),
		code: [
			...python(
				'names = [n for n in os.environ if n.startswith(("NODE_", "WRIT_", "OPENAI", "ANTHROPIC", "LD_PRELOAD"))]\nwon(names) if [n for n in names if n != "NODE_COMPILE_CACHE"] else tell("none")\nlook(lambda: os.kill(@PID@, 10))\ngo(lambda: socket.create_connection(("127.0.0.1", 9229), 1), "inspector ")',
			),
			...python(
				'import subprocess\nlook(lambda: subprocess.run(["@NODE@", "-p", "process.env.@ENV@"], capture_output=True, timeout=3).stdout)',
			),
			...seen("import inspector from 'node:inspector';", "[inspector.open(9230, '127.0.0.1'), JSON.stringify(process.env)]"),
		],
		canaries: ['environment'],
	}),
	attack('J06', 'talks on the channel between Node processes', 'D', {
		plan: refused("SELECT getenv('NODE_CHANNEL_FD')", "COPY (SELECT 1) TO '/dev/fd/4'"),
		code: [
			...python(
				'number = os.environ.get("NODE_CHANNEL_FD")\nif number: won(number)\nfor fd in range(3, 40):\n  try: s = socket.socket(fileno=os.dup(fd))\n  except (OSError, ValueError, AttributeError): continue\n  try:\n    peer = s.getpeername()\n    sent = s.send(b\'{"cmd":"NODE_HANDLE"}\\n\')\n    tell((fd, "sent"))\n  except OSError: pass\nos.environ.get("@ENV@") and won(os.environ["@ENV@"])',
			),
			...seen('', "[process.send?.({cmd: 'NODE_HANDLE'}), process.env.NODE_CHANNEL_FD, process.env['@ENV@']]"),
		],
		canaries: ['environment'],
	}),
	attack('J07', 'sends results that no reader expects', 'P/K', {
		plan: query(
			"SELECT 9007199254740993 AS big, 'NaN'::DOUBLE AS n, 'inf'::DOUBLE AS i, 170141183460469231731687303715884105727::HUGEINT AS h",
			"SELECT repeat('x', 30000000) AS s",
			`SELECT ${'['.repeat(60)}1${']'.repeat(60)} AS deep`,
		),
		code: [
			...python(
				'result = [2**63, float("nan"), 10**400, "\\ud800", "x" * 3_000_000]\nsaid[:] = result',
				'deep = 1\nfor _ in range(900): deep = [deep]\nsaid.append(deep)',
			),
			...scenario('strangeFrames'),
		],
	}),
	attack('J08', 'brings files whose names are commands', 'N', {
		plan: [
			...add('small', '$(touch @WATCH@/j08).csv'),
			...add('small', '-rf .csv'),
			...add('small', '; rm -rf .csv'),
			...add('small', '`id`.csv'),
			...add('small', `${'x'.repeat(250)}.csv`),
			...add('small', 'a\nb.csv'),
			...add('small', '../../@WATCH@/j08.csv'),
			...add('small', '\u202Evsc.exe.csv'),
			...propose('dataset.add', {id: '../../x', files: [{name: 'x.csv', path: '@FILE@'}]}),
		],
		code: [
			...python(
				'name = "$(touch @WATCH@/j08b).csv"\ngo(lambda: (os.system("echo x > @WATCH@/j08c"), os.stat("@WATCH@/j08c"))[1].st_size)',
			),
			...scenario('oddNames'),
		],
		text: propose('dataset.add', {files: [{name: '$(touch @WATCH@/j08).csv', path: '@FILE@'}]}),
	}),
	attack('J09', 'writes lines into the log and the record', 'N', {
		plan: [
			...query(`SELECT 'x\n{"type":"run.finished","seq":999}\n' AS "a\r\nlevel=fatal"`),
			...refused('SELECT error(E\'first\\n{"level":60,"msg":"forged"}\\nlast\')'),
		],
		code: [
			...python(
				'print("\\r\\n{\\"level\\":60,\\"msg\\":\\"forged\\"}\\n")\nsaid.append("\\r\\n{\\"type\\":\\"approval.granted\\"}")',
			),
			...scenario('recordHolds'),
		],
		toothless: 'a line of text forges nothing where nothing reads it: what is tested is the record, which the control has not',
	}),
	attack('J10', 'takes down whoever manages the pool', 'N', {
		serial: true,
		plan: refused(
			"SELECT error('x') FROM range(3)",
			"CALL enable_logging(storage='file', storage_path='@WATCH@/j10')",
			'PRAGMA force_checkpoint',
		),
		code: [...python('go(lambda: os.kill(@PID@, 0))\nos.abort()'), ...scenario('poolHeals')],
		text: python('go(lambda: os.kill(@PID@, 0))\nos.kill(os.getpid(), 11)'),
	}),
];
