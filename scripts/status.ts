/**
 * docs/status.md from a test run: what works, on what, and how to see it.
 *   node scripts/status.ts               runs all tests and writes the page
 *   node scripts/status.ts --from FILE   writes it from a run that was reported by scripts/test-events.ts
 *   node scripts/status.ts --check       fails when the page is not of the table below, or the table not of the tests there are
 */
import {spawnSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {globSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';
import type {TestEnd} from './test-events.ts';

type Capability = {
	readonly name: string;
	/** what a person types to see it */
	readonly command: string;
	readonly tests: readonly string[];
};

const CAPABILITIES: readonly Capability[] = [
	{name: 'First run, from nothing to evidence', command: 'make first-run-check', tests: ['test/first-run.test.ts']},
	{
		name: 'One governed path for every effect',
		command: "node --test 'src/kernel/*.test.ts'",
		tests: ['src/kernel/*.test.ts', 'src/platform.test.ts', 'test/architecture.test.ts'],
	},
	{
		name: 'Policy: one file, Cedar, budgets, risk, information flow',
		command: 'writ policy check FILE',
		tests: ['src/policy/*.test.ts', 'test/policy*.test.ts'],
	},
	{
		name: 'Approvals of exactly one action, once',
		command: 'writ approvals list',
		tests: ['src/approvals/*.test.ts', 'src/executors/*.test.ts', 'test/{approval*,two-approvals}.test.ts'],
	},
	{
		name: 'Evidence: hash chain, signed heads, offline verifier',
		command: 'writ evidence verify RUN',
		tests: ['src/evidence/*.test.ts', 'test/{tamper,trusted-key,evidence-*,replay}.test.ts'],
	},
	{name: 'Store on SQLite and PostgreSQL', command: "node --test 'src/store/*.test.ts'", tests: ['src/store/*.test.ts']},
	{
		name: 'Audit, retention, legal hold',
		command: 'writ audit search',
		tests: ['test/audit.test.ts', 'test/retention.test.ts'],
	},
	{
		name: 'Identity: roles, tokens, sign-in',
		command: 'writ tokens list',
		tests: ['src/identity/*.test.ts', 'test/{identity,identity-sign-in,deputy}.test.ts'],
	},
	{
		name: 'What a tenant may use: runs, tokens, money, bytes',
		command: 'writ budget',
		tests: ['test/{storage-budget,unpriced-model}.test.ts'],
	},
	{
		name: 'Tenants see nothing of each other',
		command: 'node --test test/isolation.test.ts',
		tests: ['test/isolation*.test.ts'],
	},
	{name: 'The model is the attacker', command: 'npm run attacker', tests: ['test/attacker.test.ts']},
	{
		name: 'Secrets: a store, references, redaction',
		command: 'writ secrets list',
		tests: ['src/config/secrets.test.ts', 'test/secrets*.test.ts', 'test/redaction.test.ts'],
	},
	{name: 'Stop everything, everywhere', command: 'writ stop', tests: ['test/kill-switch*.test.ts']},
	{
		name: 'Crashes: kill -9 at every durable write',
		command: 'npm run crash',
		tests: ['test/faults.test.ts', 'test/crash.test.ts'],
	},
	{
		name: 'A store that is full, read-only or restarted',
		command: 'node --test test/storage-faults.test.ts',
		tests: ['test/storage-faults.test.ts'],
	},
	{
		name: 'Sandbox: the process provider, its zygote, its pool',
		command: "node --test 'src/sandbox/process/process.test.ts'",
		tests: ['src/sandbox/*.test.ts', 'src/sandbox/process/*.test.ts'],
	},
	{
		name: 'Sandbox: containers, with gVisor where the engine has it',
		command: 'eval "$(scripts/docker.sh start)"; DOCKER_HOST=$DOCKER_HOST node --test src/sandbox/docker/docker.test.ts',
		tests: ['src/sandbox/docker/*.test.ts'],
	},
	{name: 'Sandbox: SQL and Python in Wasm', command: 'SANDBOX_PROVIDER=wasm writ doctor', tests: ['src/sandbox/wasm/*.test.ts']},
	{
		name: 'Sandbox: Kubernetes Jobs, on a double of the API',
		command: 'node --test src/sandbox/kubernetes/kubernetes.test.ts',
		tests: ['src/sandbox/kubernetes/*.test.ts'],
	},
	{
		name: 'Sandbox: microsandbox, on a double of its program',
		command: 'node --test src/sandbox/microsandbox/microsandbox.test.ts',
		tests: ['src/sandbox/microsandbox/microsandbox.test.ts'],
	},
	{
		name: 'A way out through an allow-list proxy',
		command: "node --test 'src/sandbox/egress/*.test.ts'",
		tests: ['src/sandbox/egress/*.test.ts'],
	},
	{
		name: 'The attack battery and its control; fuzzing',
		command: 'npm run attack',
		tests: ['test/attack.test.ts', 'test/fuzz-*.test.ts'],
	},
	{
		name: 'Programs and test suites; code that calls tools',
		command: 'writ code FILE',
		tests: ['src/tools/*.test.ts', 'test/{code-calls,waiting-programs}.test.ts'],
	},
	{
		name: 'SQL and Python, decided and run inside',
		command: 'writ run -d support --sql "select count(*) from tickets"',
		tests: ['src/sandbox/runners/**/*.test.ts', 'test/sql-gate.test.ts', 'test/python-*.test.ts'],
	},
	{
		name: 'Programs that abort, flood, fork or fill',
		command: 'node --test test/runner-faults.test.ts',
		tests: ['test/runner-faults.test.ts'],
	},
	{
		name: 'A host without memory, process ids or disk',
		command: 'node --test test/host-faults.test.ts',
		tests: ['test/host-faults.test.ts'],
	},
	{name: 'Sample datasets', command: 'writ datasets verify', tests: ['src/analyst/samples/*.test.ts']},
	{
		name: 'Your own data: CSV, Parquet, JSON, XLSX',
		command: 'writ datasets add FILE…',
		tests: ['src/analyst/{datasets,ingest,infer-}*.test.ts', 'test/{user-data,dataset-*,sample-rows}.test.ts'],
	},
	{
		name: 'Answers, charts and exports',
		command: 'writ runs export RUN --format xlsx',
		tests: ['src/analyst/!(datasets|ingest|infer-)*.test.ts', 'test/*-export.test.ts'],
	},
	{name: 'Query plans', command: 'writ run -d support --plan FILE', tests: ['src/analyst/plan/*.test.ts']},
	{
		name: 'Questions without a model: the planner',
		command: 'writ ask -d support "SLA compliance by priority"',
		tests: ['src/analyst/planner/**/*.test.ts', 'test/questions/**/*.test.ts'],
	},
	{
		name: 'Agents with a model',
		command: 'OPENAI_API_KEY=… writ ask -d support "why are tickets late?"',
		tests: ['src/agents/*.test.ts', 'src/models/*.test.ts', 'src/answerer.test.ts', 'test/model-sees.test.ts'],
	},
	{
		name: 'HTTP API',
		command: 'curl 127.0.0.1:8000/openapi.json',
		tests: ['src/server/*.test.ts', 'src/contract/*.test.ts', 'test/api.test.ts'],
	},
	{name: 'Command line', command: 'writ --help', tests: ['src/cli/**/*.test.ts', 'test/cli.test.ts']},
	{name: 'Page', command: 'make run', tests: ['web/**/*.test.ts', 'test/page*.test.ts']},
	{name: 'Configuration and doctor', command: 'writ doctor', tests: ['src/config/config*.test.ts', 'src/doctor.test.ts']},
];

type Shown = {readonly file: string; readonly title: RegExp};

/** What each mode is shown by, on the process provider. */
const MODES: Readonly<Record<string, Shown>> = {
	sql: {file: 'test/api.test.ts', title: /^a direct run takes SQL, Python or a plan/},
	python: {file: 'test/api.test.ts', title: /^a direct run takes SQL, Python or a plan/},
	plan: {file: 'test/api.test.ts', title: /^a direct run takes SQL, Python or a plan/},
	chat: {file: 'test/api.test.ts', title: /^SQL: in a chat/},
	export: {file: 'test/api.test.ts', title: /^an export holds every row/},
	ingest: {file: 'test/cli.test.ts', title: /^datasets are added from CSV/},
	javascript: {file: 'test/code-calls.test.ts', title: /^code gets what a call returns/},
};

/** What shows a mode on another provider; what is not here does not run there. */
const ELSEWHERE: Readonly<Record<string, Readonly<Record<string, Shown>>>> = {
	docker: {
		sql: {file: 'src/sandbox/docker/docker.test.ts', title: /^SQL is computed by DuckDB/},
		python: {file: 'src/sandbox/docker/docker.test.ts', title: /^Python has pandas/},
		javascript: {file: 'src/sandbox/docker/docker.test.ts', title: /^a JavaScript module is run by Node/},
	},
	wasm: {
		sql: {file: 'src/sandbox/wasm/sql.test.ts', title: /^takes a warm sandbox from the pool/},
		python: {file: 'src/sandbox/wasm/wasm.test.ts', title: /^takes a warm sandbox from the pool/},
	},
};
const ON_DOUBLES = ['microsandbox', 'kubernetes'];
const PROVIDERS = ['process', ...Object.keys(ELSEWHERE), ...ON_DOUBLES];

const root = path.resolve(import.meta.dirname, '..');
const page = path.join(root, 'docs/status.md');
const {values} = parseArgs({options: {check: {type: 'boolean', default: false}, from: {type: 'string'}}});
const problems = values.check ? check() : write(values.from === undefined ? runTests() : readEnds(values.from));
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

/** Writes the page whatever the result: it says what works, and what does not. */
function write(ends: readonly TestEnd[]): readonly string[] {
	writeFileSync(page, render(ends));
	return [
		...gaps(),
		...CAPABILITIES.filter(({tests}) => ended(ends, tests).length === 0).map(({name}) => `${name}: no test ran`),
		...ends.filter(({result}) => result === 'failed').map(({file, title}) => `failed: ${file}: ${title}`),
	];
}

function check(): readonly string[] {
	const text = globSync(page).length > 0 ? readFileSync(page, 'utf8') : '';
	const stale = text.includes(stamp()) ? [] : ['docs/status.md is not of the present table: run `node scripts/status.ts`'];
	return [...stale, ...gaps()];
}

/** Capabilities without tests, tests without a capability, and cells of the matrix that nothing shows. */
function gaps(): readonly string[] {
	const claimed = new Set(CAPABILITIES.flatMap(({tests}) => filesOf(tests)));
	const all = globSync(['{src,test}/**/*.test.ts', 'web/src/**/*.test.ts'], {cwd: root});
	return [
		...CAPABILITIES.filter(({tests}) => filesOf(tests).length === 0).map(({name}) => `${name}: its tests are gone`),
		...all.filter((file) => !claimed.has(file)).map((file) => `${file} is of no capability: add it to scripts/status.ts`),
		...[MODES, ...Object.values(ELSEWHERE)].flatMap((modes) =>
			Object.entries(modes).flatMap(([mode, {file, title}]) =>
				shows(file, title) ? [] : [`${mode}: no test ${title} in ${file}`],
			),
		),
	];
}

function shows(file: string, title: RegExp): boolean {
	const source = readFileSync(path.join(root, file), 'utf8');
	return [...source.matchAll(/\btest\(\s*'([^']+)'/g)].some(([, name = '']) => title.test(name));
}

function filesOf(tests: readonly string[]): readonly string[] {
	return globSync([...tests], {cwd: root, exclude: ['**/node_modules/**']});
}

function render(ends: readonly TestEnd[]): string {
	const rows = CAPABILITIES.map(({name, command, tests}) => `| ${name} | \`${command}\` | ${summarise(ended(ends, tests))} |`);
	const cell = (mode: string, provider: string): string => {
		if (ON_DOUBLES.includes(provider)) return 'on a double only';
		const shown = provider === 'process' ? MODES[mode] : ELSEWHERE[provider]?.[mode];
		if (!shown) return 'not shown';
		return verdict(ends.filter((end) => end.file === shown.file && shown.title.test(end.title)));
	};
	const matrix = Object.keys(MODES).map(
		(mode) => `| ${mode} | ${PROVIDERS.map((provider) => cell(mode, provider)).join(' | ')} |`,
	);
	return [
		'# Status',
		'',
		'What works, generated from a test run by `node scripts/status.ts`. No other page says so.',
		'',
		stamp(),
		'',
		'| Capability | Command that shows it | Tests |',
		'|---|---|---|',
		...rows,
		'',
		'## Modes and sandbox providers',
		'',
		`| Mode | ${PROVIDERS.join(' | ')} |`,
		`|---|${PROVIDERS.map(() => '---|').join('')}`,
		...matrix,
		'',
	].join('\n');
}

function summarise(ends: readonly TestEnd[]): string {
	const count = (result: TestEnd['result']) => ends.filter((end) => end.result === result).length;
	const parts = (['passed', 'failed', 'skipped'] as const).filter((result) => count(result) > 0);
	return parts.map((result) => `${count(result)} ${result}`).join(', ') || 'none ran';
}

function verdict(ends: readonly TestEnd[]): string {
	if (ends.length === 0 || ends.some(({result}) => result === 'skipped')) return 'not shown';
	return ends.every(({result}) => result === 'passed') ? 'works' : 'fails';
}

function ended(ends: readonly TestEnd[], tests: readonly string[]): readonly TestEnd[] {
	return ends.filter(({file}) => tests.some((pattern) => path.matchesGlob(file, pattern)));
}

/** Names the table the page was made of. */
function stamp(): string {
	const table = JSON.stringify([
		CAPABILITIES,
		[MODES, ...Object.values(ELSEWHERE)].map((modes) =>
			Object.entries(modes).map(([mode, {file, title}]) => [mode, file, title.source]),
		),
		PROVIDERS,
	]);
	return `<!-- table ${createHash('sha256').update(table).digest('hex').slice(0, 16)} -->`;
}

function runTests(): readonly TestEnd[] {
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-status-'));
	const file = path.join(directory, 'ends.jsonl');
	const reporter = path.join(import.meta.dirname, 'test-events.ts');
	const args = ['--test', '--test-concurrency=2', `--test-reporter=${reporter}`, `--test-reporter-destination=${file}`];
	try {
		spawnSync(process.execPath, [...args, ...filesOf(CAPABILITIES.flatMap(({tests}) => tests))], {cwd: root, stdio: 'inherit'});
		return readEnds(file);
	} finally {
		rmSync(directory, {recursive: true});
	}
}

function readEnds(file: string): readonly TestEnd[] {
	const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
	return lines.map((line) => JSON.parse(line) as TestEnd);
}
