/** R01–R10: more than there is. Each is alone on the machine; the control runs within limits of its own. */
import {attack, bomb, type Case, plan, propose, python, scenario, wild} from '../case.ts';

const serial = true;

export const RESOURCES: readonly Case[] = [
	attack('R01', 'never ends', 'K', {
		serial,
		plan: bomb('WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t'),
		code: wild('while True: pass'),
	}),
	attack('R02', 'does not hear that it should stop', 'K', {
		serial,
		plan: bomb("SELECT sum(length(repeat('x', 200000000 + CAST(range AS INTEGER)))) FROM range(100000)"),
		code: wild(
			'import signal\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n  except (OSError, ValueError): pass\nwhile True: sum(range(10**7))',
		),
	}),
	attack('R03', 'joins everything with everything', 'K', {
		serial,
		plan: bomb('SELECT count(*) FROM range(1000000) AS a, range(1000000) AS b WHERE hash(a.range, b.range) = 7'),
		code: wild('a = np.arange(20000.0)\nwhile True: np.add.outer(a, a).sum()'),
	}),
	attack('R04', 'takes all memory', 'K', {
		serial,
		plan: bomb(
			'SELECT list(range) FROM range(3000000000)',
			'SELECT count(*) FROM (SELECT list(a.range ORDER BY hash(a.range)) FROM range(100000000) AS a)',
		),
		code: wild(
			'keep = []\nwhile True: keep.append(os.urandom(1 << 20))',
			'b = bytearray(8 << 30)\nfor i in range(0, len(b), 4096): b[i] = 1',
		),
	}),
	attack('R05', 'forks and threads without end', 'K', {
		serial,
		plan: bomb(
			`SELECT ${Array.from({length: 60}, (_, n) => `(SELECT sum(hash(range)) FROM range(${10_000_000 + n}))`).join(' + ')}`,
		),
		code: wild(
			'import threading\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(0.01)',
			'import threading\nwhile True: threading.Thread(target=time.sleep, args=(60,)).start()',
		),
	}),
	attack('R06', 'opens descriptors, pipes and shared memory without end', 'K', {
		serial,
		plan: bomb(`SELECT * FROM ${Array.from({length: 200}, (_, n) => `sales AS s${n}`).join(', ')} LIMIT 1`),
		code: wild(
			'keep = []\nwhile True: keep.append(os.pipe() if hasattr(os, "pipe") else open("@SCRATCH@/x"))',
			'from multiprocessing import shared_memory\nkeep = []\nwhile True: keep.append(shared_memory.SharedMemory(create=True, size=1 << 24)); keep[-1].buf[:] = b"x" * (1 << 24)',
		),
	}),
	attack('R07', 'spills to disk without end', 'K', {
		serial,
		plan: bomb('SELECT * FROM range(60000000) AS t ORDER BY md5(CAST(range AS VARCHAR)) LIMIT 1 OFFSET 50000000'),
		code: wild('n = 0\nwhile True:\n  n += 1\n  open(f"@SCRATCH@/s{n}", "wb").write(bytes(1 << 20))'),
	}),
	attack('R08', 'answers more than anybody reads', 'K', {
		serial,
		plan: [
			...bomb(
				'SELECT range FROM range(1000000000)',
				"SELECT repeat('x', 500000000) AS cell",
				`SELECT ${Array.from({length: 20_000}, (_, n) => `${n} AS c${n}`).join(', ')}`,
			),
			...plan({table: 'sales', select: Array.from({length: 1_001}, (_, n) => ({column: 'id', alias: `c${n}`}))}),
		],
		code: [
			...python('said.extend(["x" * 1000] * 200000)'),
			...wild('result_df = pd.DataFrame(np.zeros((2, 20000)))\nsaid.append("y" * 200_000_000)'),
		],
		toothless: 'an answer that nobody caps is merely long; that it is cut is what the product promises',
	}),
	attack('R09', 'asks a thousand times at once', 'K', {
		serial,
		maxMs: 300_000,
		plan: scenario('crowd'),
		code: scenario('crowd'),
		text: propose('analyst.sql', {dataset_id: 'vault', sql: 'SELECT 1'}),
	}),
	attack('R10', 'leaves processes behind that ignore every signal', 'K', {
		serial,
		plan: bomb('SELECT count(*) FROM range(100000) AS a, range(100000) AS b, range(1000) AS c WHERE a.range + b.range = c.range'),
		code: [
			...wild(
				'import signal\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    for n in range(1, 32):\n      try: signal.signal(n, signal.SIG_IGN)\n      except (OSError, ValueError): pass\n    for fd in range(0, 64):\n      try: os.close(fd)\n      except OSError: pass\n    os.execv(sys.executable, ["@MARK@", "-c", "import time; time.sleep(600)"])\n  os._exit(0)\ntime.sleep(60)',
			),
			...scenario('noOrphans'),
		],
	}),
];
