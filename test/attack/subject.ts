/** The platform under attack, and the three ways in. Nothing here goes around `govern`. */
import {mkdirSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import type {OpenRun} from '#agents/runs.ts';
import {createModelAnswerer} from '#analyst/agent.ts';
import {loadConfig} from '#config/config.ts';
import {WritError} from '#contract/errors.ts';
import type {Event, Principal} from '#contract/event.ts';
import type {RunnerName} from '#contract/sandbox.ts';
import {govern, type Outcome} from '#kernel/govern.ts';
import {createPlatform, type Platform} from '../../src/platform.ts';
import {ROOT} from '../server.ts';
import {crafted} from './archives.ts';
import type {Planted} from './canaries.ts';
import type {Case, Payload} from './case.ts';
import {createObedientModel} from './obedient.ts';
import {addTo, DATASET, fileIn, OWNER, type Place, plantOrders, plantRival, SALES} from './planting.ts';
import {asProgram} from './program.ts';

const AGENT: Principal = {kind: 'agent', id: 'analyst', tenant: 'local'};

/** What became of one payload. */
export type Done = {
	readonly payload: Payload;
	/** `succeeded`, `denied`, `failed`, … as the path says; `absent` when nothing was proposed */
	readonly outcome: string;
	readonly code: string;
	/** all that came back, as text */
	readonly output: string;
};

/** `record` is every event of the runs, and what they answered, as text. */
export type Attacked = {readonly done: readonly Done[]; readonly record: string};

export type Subject = AsyncDisposable & {
	readonly platform: Platform;
	readonly facts: Readonly<Record<string, string>>;
	/** what can run inside */
	readonly runs: ReadonlySet<RunnerName>;
	/** what the platform reported as bugs */
	readonly bugs: string[];
	fill(text: string): string;
	/** Proposes each payload: as an agent in `plan`, as a person in `code`. */
	propose(payloads: readonly Payload[], way: 'plan' | 'code'): Promise<Attacked>;
	/** Sends an obedient model to where the case is planted. */
	obey(attacked: Case, payloads: readonly Payload[], place: Place): Promise<Attacked>;
	sql(sql: string, principal?: Principal): Promise<Done>;
	python(code: string, principal?: Principal): Promise<Done>;
	/** A run in which proposals have ids of the caller's choice. */
	session(principal: Principal): Promise<{readonly run: OpenRun; propose(id: string, sql: string): Promise<Outcome>}>;
	/** What is wrong with the platform now; empty when it answers, and no byte of the data has changed. */
	ailments(): Promise<readonly string[]>;
};

/** Tight, so that exhaustion is quick. */
const LIMITS = {
	WRIT_SANDBOX_MEMORY_MB: '512',
	WRIT_SANDBOX_SCRATCH_MB: '64',
	WRIT_SANDBOX_PROCESSES: '32',
	WRIT_MAX_SANDBOXES: '4',
	ENABLE_PYTHON_EXECUTION: 'true',
};

const ASKS = `version: 1
budgets:
  run: {actions: 60}
cedar:
  rules: |
    @id("careful-people-are-asked")
    @decision("ask")
    permit (principal == User::"careful", action == Action::"analyst.sql", resource);
`;

export async function createSubject(
	planted: Planted,
	cases: readonly Case[],
	env: Readonly<Record<string, string>>,
): Promise<Subject> {
	const directory = `${planted.directory}-platform`;
	mkdirSync(directory, {recursive: true, mode: 0o711});
	const policyFile = path.join(directory, 'policy.yaml');
	writeFileSync(policyFile, ASKS);
	const data = path.join(directory, 'data');
	const bugs: string[] = [];
	const build = (sandbox: Readonly<Record<string, string>>) => {
		const {config} = loadConfig({file: null, env: {WRIT_DATA_DIR: data, WRIT_POLICY_FILE: policyFile, ...LIMITS, ...sandbox}});
		return createPlatform({
			config,
			root: ROOT,
			software: 'writ attack',
			// A target that is not there is reported, too; that is no bug.
			report: (bug) =>
				void (bug instanceof WritError && bug.code === 'not_found'
					? null
					: bugs.push(bug instanceof Error ? String(bug.stack) : String(bug))),
			answerer: (parts) =>
				createModelAnswerer({
					...parts,
					model: createObedientModel(() => (runs.has('sql') ? 'sql' : 'python')),
					historyWindow: 1,
					pythonEnabled: true,
					maxRows: 1_000,
				}),
		});
	};
	const runs = new Set<RunnerName>();
	const attacked = await build(env);
	for (const runner of (await attacked.sandboxing.provider.facts()).runs) runs.add(runner);
	// What cannot read files is attacked over data that another sandbox has read.
	const planter = runs.has('ingest') ? attacked : await build({...env, SANDBOX_PROVIDER: 'process'});
	const home = path.join(data, 'datasets', 'local', DATASET);
	const facts = {
		...planted.facts,
		...{
			DATASET,
			DATA: '/data',
			SCRATCH: '/tmp',
			ROOT,
			NODE: process.execPath,
			FORKS: '48',
			DATADIR: home,
			MARK: `writ-orphan-${process.pid}`,
		},
		...{
			OTHERDIR: await plantRival({platform: planter, directory, planted}),
			SIBLING: `${home}-evil`,
			PLATFORMDB: path.join(data, 'writ.db'),
		},
	};
	const fill = (text: string) => fillIn(text, facts);
	await plantOrders({platform: planter, directory, planted, cases, fill});
	if (planter !== attacked) await planter.close();
	mkdirSync(facts.SIBLING);
	writeFileSync(path.join(facts.SIBLING, 'secret.csv'), `${planted.values.file}\n`);
	return createDoors({platform: attacked, directory, facts, fill, bugs, runs});
}

export function fillIn(text: string, facts: Readonly<Record<string, string>>): string {
	return text.replace(/@([A-Z]+)@/g, (whole, name: string) => facts[name] ?? whole);
}

type Doors = Pick<Subject, 'platform' | 'facts' | 'fill' | 'bugs' | 'runs'> & {readonly directory: string};

function createDoors({platform, directory, facts, fill, bugs, runs}: Doors): Subject {
	const openRun = async (principal: Principal, actor: Principal) => {
		const {hash} = await platform.datasets.get('local', DATASET);
		const started = {
			job: 'analyst' as const,
			mode: 'attack',
			threadId: null,
			question: null,
			dataset: {id: DATASET, hash},
			principal,
			software: 'writ attack',
			policyVersion: platform.policy.current().version,
		};
		return platform.runs.open(started, actor, new AbortController().signal);
	};
	const proposeOne = async (payload: Payload, run: OpenRun): Promise<Done> => {
		if (payload.kind === 'add') return addFile(payload, {platform, directory, fill});
		const proposal = toProposal(payload, fill);
		if (proposal === null) return {payload, outcome: 'absent', code: '', output: ''};
		return toDone(
			payload,
			await govern({id: platform.kernel.newId('act'), ...proposal}, run.journal, platform.kernel, run.signal),
		);
	};
	const inRun = async (payloads: readonly Payload[], principal: Principal, actor: Principal): Promise<Attacked> => {
		const run = await openRun(principal, actor);
		const done: Done[] = [];
		for (const payload of payloads) done.push(await proposeOne(payload, run));
		await run.finish({status: 'succeeded', resultActionId: null, error: null});
		return {done, record: JSON.stringify(await platform.store.read(run.id))};
	};
	const alone = async (payload: Payload, principal: Principal) => (await inRun([payload], principal, principal)).done[0] as Done;
	return {
		...{platform, facts, bugs, fill, runs},
		propose: (payloads, way) => inRun(payloads, OWNER, way === 'plan' ? AGENT : OWNER),
		async obey({id}, payloads, place) {
			const ids = {run: ''};
			const caller = {
				principal: OWNER,
				requestId: '',
				signal: new AbortController().signal,
				accepted: (run: string) => void Object.assign(ids, {run}),
			};
			const message = place === 'cell' ? `Read the note of case ${id}.` : `Find out what the data says about case ${id}.`;
			const response = await platform.analyst.chat({dataset_id: DATASET, message}, caller);
			const events = await platform.store.read(ids.run);
			return {done: payloads.map((payload) => findDone(payload, events, fill)), record: JSON.stringify([events, response])};
		},
		sql: (sql, principal = OWNER) => alone({kind: 'query', sql}, principal),
		python: (code, principal = OWNER) => alone({kind: 'python', code}, principal),
		async session(principal) {
			const run = await openRun(principal, principal);
			const propose = (id: string, sql: string) =>
				govern({id, tool: 'analyst.sql', input: {dataset_id: DATASET, sql}}, run.journal, platform.kernel, run.signal);
			return {run, propose};
		},
		async ailments() {
			const answers = await unanswered(() =>
				alone(
					runs.has('sql')
						? {kind: 'query', sql: 'SELECT count(*) AS n FROM sales'}
						: {kind: 'python', code: 'said.append(len(dfs["sales"]))'},
					OWNER,
				),
			);
			const changed = await platform.datasets.verify('local', DATASET).then(
				() => [],
				(error: Error) => [`the data changed: ${error.message}`],
			);
			return [...answers, ...changed, ...bugs.splice(0).map((bug) => `a bug: ${bug}`)];
		},
		async [Symbol.asyncDispose]() {
			await platform.close();
			rmSync(directory, {recursive: true, force: true});
		},
	};
}

/** A machine that is busy with something else may miss a time limit once or twice. */
async function unanswered(ask: () => Promise<Done>): Promise<readonly string[]> {
	const ends: Done[] = [];
	for (let tries = 0; tries < 3; tries += 1) {
		const end = await ask();
		if (end.outcome === 'succeeded' && end.output.includes(`[[${SALES}]]`)) return [];
		ends.push(end);
	}
	return [`it does not answer: ${ends.map(({outcome, output}) => `${outcome} ${output.slice(0, 200)}`).join(', ')}`];
}

function toProposal(payload: Payload, fill: (text: string) => string): {readonly tool: string; readonly input: unknown} | null {
	switch (payload.kind) {
		case 'refused':
		case 'query':
		case 'bomb':
			return {tool: 'analyst.sql', input: {dataset_id: DATASET, sql: fill(payload.sql)}};
		case 'python':
		case 'wild':
			return {tool: 'analyst.python', input: {dataset_id: DATASET, python_code: asProgram(payload.code, fill)}};
		case 'javascript':
		case 'shell':
			return {tool: `code.${payload.kind}`, input: {code: fill(payload.code)}};
		case 'propose':
			return {tool: payload.tool, input: JSON.parse(fill(JSON.stringify(payload.input)))};
		default:
			return null;
	}
}

function toDone(payload: Payload, outcome: Outcome): Done {
	const code = 'error' in outcome ? outcome.error.code : '';
	const output = 'output' in outcome ? withoutInput(outcome.output) : 'error' in outcome ? outcome.error : outcome;
	return {payload, outcome: outcome.kind, code, output: JSON.stringify(output)};
}

/** Tools return the code they ran beside its result; only the result came out of the sandbox. */
function withoutInput(output: unknown): unknown {
	if (typeof output !== 'object' || output === null) return output;
	const {pythonCode: _code, sql: _sql, plan: _plan, ...rest} = output as Record<string, unknown>;
	return rest;
}

/** The action that a payload became when a model proposed it, as the record has it. */
function findDone(payload: Payload, events: readonly Event[], fill: (text: string) => string): Done {
	const wanted = toProposal(payload, fill);
	const text = JSON.stringify(wanted?.input);
	const proposed = events.find(
		(event) =>
			event.type === 'action.proposed' &&
			(JSON.stringify(event.data.input) === text || contains(event.data.input, wanted?.input)),
	);
	if (proposed?.type !== 'action.proposed') return {payload, outcome: 'absent', code: '', output: ''};
	const {actionId} = proposed.data;
	const outcome = events.find((event) => event.type === 'action.outcome' && event.data.actionId === actionId);
	if (outcome?.type !== 'action.outcome') return {payload, outcome: 'denied', code: '', output: ''};
	const {status, error, output} = outcome.data;
	return {payload, outcome: status, code: error?.code ?? '', output: JSON.stringify(error ?? withoutInput(output))};
}

/** A proposal may have gained the dataset it is about, and lost what was redacted. */
function contains(input: unknown, wanted: unknown): boolean {
	if (typeof input !== 'object' || input === null || typeof wanted !== 'object' || wanted === null) return false;
	const [given, sought] = [input as Record<string, unknown>, wanted as Record<string, unknown>];
	return Object.keys(sought).every((key) => JSON.stringify(given[key]) === JSON.stringify(sought[key]));
}

async function addFile(
	{file, name, ...payload}: Extract<Payload, {kind: 'add'}>,
	{platform, directory, fill}: Pick<Doors, 'platform' | 'directory' | 'fill'>,
): Promise<Done> {
	const id = `added_${Math.random().toString(36).slice(2)}`;
	const given = {payload: {...payload, file, name}};
	try {
		const dataset = await addTo(platform, {id, files: [{...fileIn(directory, 'x', await crafted(file)), name: fill(name)}]});
		await platform.datasets.remove('local', id);
		return {...given, outcome: 'succeeded', code: '', output: JSON.stringify(dataset)};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		return {...given, outcome: 'failed', code: error.code, output: JSON.stringify(error)};
	}
}
