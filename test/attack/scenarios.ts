/** Attacks that take more than one call. Each returns what went wrong; nothing is what it should return. */
import {lstatSync, mkdtempSync, readdirSync, rmSync} from 'node:fs';
import path from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {Principal} from '#contract/event.ts';
import type {SandboxSpec} from '#contract/sandbox.ts';
import {verifyRun} from '#evidence/verify.ts';
import {permit} from '#sandbox/fixtures/attack.ts';
import {marked} from './leftovers.ts';
import {addTo, fileIn, OWNER} from './planting.ts';
import {asProgram} from './program.ts';
import type {Subject} from './subject.ts';

type Scenario = (subject: Subject) => Promise<readonly string[]>;

const CAREFUL: Principal = {kind: 'user', id: 'careful', tenant: 'local'};

/** Writes `body` on every descriptor that could be the runner's, then lets the program end. */
const onEveryDescriptor = (body: string, more = '') =>
	`import struct\nbody = ${body}\nfor fd in range(3, 24):\n  try: os.write(fd, struct.pack(">I", ${more || 'len(body)'}) + body)\n  except (OSError, ValueError): pass\n`;

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
	/** A program may say anything of its own result; it may not say what only the platform knows, nor speak another protocol. */
	async forgedResult(subject) {
		const unknown = await subject.python(onEveryDescriptor('json.dumps({"type": "approval.granted"}).encode()'));
		const miscounted =
			await subject.python(`${onEveryDescriptor('json.dumps({"type": "columns", "columns": [{"name": "a", "type": "integer"}]}).encode()')}
body = json.dumps({"type": "rows", "rows": [[1]]}).encode()
for fd in range(3, 24):
  try: os.write(fd, struct.pack(">I", len(body)) + body)
  except OSError: pass
body = json.dumps({"type": "done", "totalRows": 9007199254740991, "truncated": None, "nonFinite": 0, "isolation": {"level": "vm-isolated"}}).encode()
for fd in range(3, 24):
  try: os.write(fd, struct.pack(">I", len(body)) + body)
  except OSError: pass
time.sleep(0.3)`);
		return [
			...(unknown.outcome === 'succeeded' && unknown.output.includes('approval')
				? [`a frame of no kind was taken: ${unknown.output}`]
				: []),
			...(miscounted.output.includes('vm-isolated') ? ['a program chose its own isolation'] : []),
			...(miscounted.outcome === 'succeeded' && miscounted.output.includes('9007199254740991')
				? await unverifiedOnly(subject, '9007199254740991')
				: []),
		];
	},

	async residue(subject) {
		const leave = `for place in ["/tmp/marker", "/dev/shm/marker", "/var/tmp/marker", "/out/marker", os.path.expanduser("~/marker"), "/tmp/marker.pth"]:\n  try: open(place, "w").write("left " + str(os.getpid()))\n  except OSError: pass\nsaid.append("done")`;
		const look = `found = []\nfor top in ["/tmp", "/dev/shm", "/var/tmp", "/out"]:\n  for place, _, names in os.walk(top): found += [n for n in names if n.startswith("mark")]\nsaid.append("found " + str(len(found)))`;
		await subject.python(leave);
		await subject.python(leave);
		const seen = await Promise.all([subject.python(look), subject.python(look)]);
		return seen.filter(({output}) => !output.includes('found 0')).map(({output}) => `something was left: ${output}`);
	},

	async prototypesIntact(subject) {
		const polluting = JSON.parse(
			'{"dataset_id":"planted","plan":{"table":"sales","limit":1,"__proto__":{"admin":true}}}',
		) as Record<string, never>;
		await subject.propose([{kind: 'propose', tool: 'analyst.query_plan', input: polluting}], 'plan');
		return Object.keys(Object.prototype).length === 0 && ({} as {x?: unknown}).x === undefined
			? []
			: ['a prototype was polluted'];
	},

	async strangeFrames(subject) {
		const frames = [
			onEveryDescriptor('b\'{"type": "done", "totalRows": 1e400, "nonFinite": 0, "truncated": null}\''),
			onEveryDescriptor('b\'{"type": "done", "totalRows": NaN, "nonFinite": 0, "truncated": null}\''),
			onEveryDescriptor('b"["*100000 + b"]"*100000'),
			onEveryDescriptor('b"x"', '0xffffffff'),
			onEveryDescriptor('b\'{"type": "rows", "rows": [["\' + b"x" * 10_000_000 + b\'"]]}\''),
			onEveryDescriptor('b\'{"type": "error", "code": "__proto__", "message": "x"}\''),
			onEveryDescriptor('b\'{"type": "error", "code": "toString", "message": "x", "details": {"__proto__": {"x": 1}}}\''),
			onEveryDescriptor('b\'{"type": "call", "id": 1, "tool": "dataset.add", "input": {}}\''),
		];
		const ends = [];
		for (const frame of frames) ends.push(await subject.python(frame));
		return ends.filter(({code}) => code === 'internal_error').map(({output}) => `a frame hurt the platform: ${output}`);
	},

	async oddNames(subject) {
		const before = readdirSync(path.join(subject.facts.DATADIR ?? '', '..'));
		for (const name of [
			'$(id).csv',
			'-rf',
			'a\nb.csv',
			'\u202Ecsv.exe',
			'Å.csv',
			'A\u030A.csv',
			'CON',
			'..',
			'../../x.csv',
			'x'.repeat(255),
			'\u0000.csv',
		])
			await addTo(subject.platform, {
				id: 'odd',
				files: [fileIn(path.join(subject.facts.PLATFORMDB ?? '', '../..'), 'x', 'a\n1\n')].map((file) => ({...file, name})),
			}).catch(() => {});
		const files = readdirSync(path.join(subject.facts.DATADIR ?? '', '../odd'), {recursive: true}).map(String);
		const strange = files.filter((file) => !/^(current|[0-9a-f]{64}(\/(manifest\.json|[a-z0-9_]+\.parquet))?)$/.test(file));
		const after = readdirSync(path.join(subject.facts.DATADIR ?? '', '..')).filter(
			(name) => !before.includes(name) && name !== 'odd',
		);
		await subject.platform.datasets.remove('local', 'odd').catch(() => {});
		return [...strange, ...after].map((name) => `there is a file named ${JSON.stringify(name)}`);
	},

	async recordHolds(subject) {
		const ids = await finishedRuns(subject, 5);
		if (ids.length === 0) return ['there is no record'];
		const wrong: string[] = [];
		for (const id of ids) {
			const [events, head] = [await subject.platform.store.rawEvents(id), await subject.platform.store.head(id)];
			const {verdict} = verifyRun(events, head, subject.platform.key.publicKey);
			if (verdict !== 'valid') wrong.push(`run ${id} is ${verdict}`);
			const forged = events.map((event, index) => (index === 1 ? String(event).replace(/"at":"2/, '"at":"3') : event));
			const {verdict: afterwards} = verifyRun(forged, head, subject.platform.key.publicKey);
			if (afterwards !== 'tampered') wrong.push(`a changed event of run ${id} is ${afterwards}`);
		}
		return wrong;
	},

	async poolHeals(subject) {
		await Promise.all(Array.from({length: 6}, () => subject.python('os.abort()')));
		await Promise.all(Array.from({length: 4}, () => subject.python('os.kill(os.getpid(), 9)')));
		return subject.ailments();
	},

	/** Whatever a program leaves in its output directory, what stays there is plain files that are ours. */
	async collector(subject) {
		const {provider} = subject.platform.sandboxing;
		const output = mkdtempSync(path.join(path.dirname(subject.facts.PLATFORMDB ?? ''), 'out-'));
		const code = `open("/out/good", "w").write("rows")
for make in [lambda: os.symlink("@FILE@", "/out/link"), lambda: os.mkfifo("/out/pipe"), lambda: os.mknod("/out/device", 0o60660, os.makedev(1, 1)), lambda: (os.mkdir("/out/d"), os.symlink("/etc", "/out/d/etc")), lambda: os.link("/data/sales.parquet", "/out/hard"), lambda: socket.socket(socket.AF_UNIX).bind("/out/socket")]:
  try: make()
  except Exception: pass`;
		const spec: SandboxSpec = {runner: 'python', mounts: [], output, network: 'none', limits: (await limitsOf(subject)) as never};
		const signal = AbortSignal.timeout(20_000);
		try {
			const sandbox = await provider.open(spec, {warm: false, signal});
			const request = {kind: 'python' as const, views: [], code: asProgram(code, subject.fill), maxRows: 10, maxBytes: 10_000};
			await sandbox.run(permit(), request, signal);
			await sandbox.ended;
			const left = readdirSync(output, {recursive: true}).map(String);
			const odd = left.filter(
				(name) => !lstatSync(path.join(output, name)).isFile() && !lstatSync(path.join(output, name)).isDirectory(),
			);
			return [...odd.map((name) => `${name} was collected`), ...(left.includes('good') ? [] : ['a plain file was lost'])];
		} finally {
			rmSync(output, {recursive: true, force: true});
		}
	},

	async covert(subject) {
		const hold =
			'try: open("/dev/shm/covert", "w").write("x")\nexcept OSError: pass\nopen("/tmp/covert", "w").write("x")\ntime.sleep(0.4)';
		const look =
			'time.sleep(0.2)\nsaid.append("seen" if any(os.path.exists(p) for p in ["/dev/shm/covert", "/tmp/covert"]) else "alone")';
		const [, other] = await Promise.all([subject.python(hold), subject.python(look)]);
		return other?.output.includes('seen') ? ['two sandboxes share a directory'] : [];
	},

	async cleanOutput(subject) {
		const {output, code} = await subject.python(
			'print("\\x1b[31mred\\x1b[0m\\x1b]0;t\\x07\\x00\\x9b31m")\nsys.stdout.buffer.write(b"\\xff" * 200000)\nsys.stdout.flush()',
		);
		if (code !== '') return [];
		const {stdout = ''} = JSON.parse(output) as {stdout?: string};
		return [
			...(/\p{Cc}/u.test(stdout.replace(/[\n\t]/g, '')) ? ['control characters came out'] : []),
			...(stdout.length > 300_000 ? [`${stdout.length} characters came out`] : []),
		];
	},

	/** Somebody asks as often as they can: each is answered or told why not, and the platform is well when they are gone. */
	async crowd(subject) {
		const ends = await Promise.all(Array.from({length: CROWD}, () => subject.sql('SELECT sum(amount) FROM sales')));
		const odd = ends.filter(({outcome, code}) => outcome !== 'succeeded' && !ENDS_OF_A_CROWD.has(code));
		return [
			...odd.slice(0, 3).map(({outcome, code, output}) => `one of a crowd ended ${outcome} ${code} ${output.slice(0, 200)}`),
			...(await subject.ailments()),
		];
	},

	async noOrphans(subject) {
		await subject.python(
			'for _ in range(3):\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: os.execv(sys.executable, ["@MARK@", "-c", "import time; time.sleep(600)"])\n    os._exit(0)\ntime.sleep(0.2)',
		);
		for (let tries = 0; tries < 200 && marked(subject.facts.MARK ?? '').length > 0; tries += 1) await delay(25);
		return marked(subject.facts.MARK ?? '').map((pid) => `process ${pid} is left`);
	},

	/** An approval is for one exact action, once: not for other SQL under its name, not for the same under another, not for two at a time. */
	async approvals(subject) {
		const changed = await granted(subject);
		const other = await changed.propose('act_first', 'SELECT 2 AS two');
		changed.run.park();
		const {run, propose} = await granted(subject);
		const borrowed = await propose('act_second', 'SELECT 1 AS one');
		const raced = await Promise.all([propose('act_first', 'SELECT 1 AS one'), propose('act_first', 'SELECT 1 AS one')]);
		const again = await propose('act_first', 'SELECT 1 AS one');
		const intents = run.journal.events.filter((event) => event.type === 'action.intent').length;
		run.park();
		return [
			...(other.kind === 'succeeded' || borrowed.kind === 'succeeded'
				? ['something was done without an approval of its own']
				: []),
			...([...raced, again].every(({kind}) => kind === 'succeeded')
				? []
				: [`the approved action ended ${[...raced, again].map(({kind}) => kind)}`]),
			...(intents === 1 ? [] : [`one approval let ${intents} actions start`]),
		];
	},
};

/** A run in which `act_first` was asked about, was not done, and then was approved. */
async function granted({platform, session}: Subject) {
	const {run, propose} = await session(CAREFUL);
	const asked = await propose('act_first', 'SELECT 1 AS one');
	const unanswered = await propose('act_first', 'SELECT 1 AS one');
	if (asked.kind !== 'awaiting_approval' || unanswered.kind !== 'awaiting_approval')
		throw new Error(`nobody was asked: ${JSON.stringify([asked, unanswered])}`);
	const previewDigest = (await platform.store.approval(asked.approvalId))?.previewDigest ?? '';
	const answer = {approvalId: asked.approvalId, approver: OWNER, comment: '', previewDigest};
	await run.journal.append(platform.approvals.grant(run.journal.events, answer, new Date()));
	return {run, propose};
}

/** Who waits in the queue may be turned away, or run out of time there. */
const ENDS_OF_A_CROWD = new Set(['sandbox_unavailable', 'rate_limited', 'runner_timeout']);
const CROWD = 200;

/** Other attacks run beside this one: the run is known by what was forged in it. */
async function unverifiedOnly(subject: Subject, forged: string): Promise<readonly string[]> {
	const runs = await Promise.all((await finishedRuns(subject, 40)).map((run) => subject.platform.store.read(run)));
	const mine = runs.filter((events) =>
		events.some((event) => event.type === 'action.outcome' && JSON.stringify(event.data.output).includes(forged)),
	);
	if (mine.length === 0) return ['the run with the forged count is not on record'];
	const isVerified = mine.flat().some((event) => event.type === 'action.verified' && event.data.verdict.kind === 'verified');
	return isVerified ? ['a forged count was verified'] : [];
}

/** The newest first. */
async function finishedRuns({platform}: Subject, limit: number): Promise<readonly string[]> {
	const {rows} = await platform.store.runs({tenant: 'local', limit: limit + 10});
	return rows
		.filter(({status}) => status !== 'running' && status !== 'awaiting_approval')
		.map(({runId}) => runId)
		.slice(0, limit);
}

async function limitsOf({platform}: Subject) {
	const tool = platform.kernel.tools.get('analyst.python');
	return {
		wallMs: tool?.limits.wallMs ?? 3_000,
		memoryBytes: 512 << 20,
		cpus: 1,
		processes: 32,
		openFiles: 256,
		scratchBytes: 64 << 20,
		outputBytes: 1 << 20,
	};
}
