/** Attacks as data: what one is, and the words in which payloads are written. */
import type {Json} from '#contract/json.ts';
import type {RunnerName} from '#contract/sandbox.ts';

/** `plan`: a proposal an agent makes. `code`: a program a person runs. `text`: a model obeys what it reads in the data. */
export const WAYS = ['plan', 'code', 'text'] as const;
export type Way = (typeof WAYS)[number];

export const CLASSES = {
	S: 'SQL engine',
	P: 'Python',
	J: 'platform process',
	F: 'files and archives',
	N: 'network',
	K: 'kernel',
	R: 'exhaustion',
	E: 'secrets and governance',
} as const;

/** What an attack would like to reach. Each is planted before a battery and looked for in everything that comes out of it. */
export const CANARIES = ['file', 'environment', 'network', 'tenant', 'pool', 'dataset'] as const;
export type Canary = (typeof CANARIES)[number];

/**
 * One attempt. Names in `@` stand for facts of the battery: see facts.ts.
 *
 * - `refused`: SQL that must not be answered, by the gate or by the engine.
 * - `query`: SQL that may be answered, if nothing planted comes out and nothing changes.
 * - `bomb`: SQL that has to be stopped at a limit, or is answered within it, flagged where it was cut.
 * - `python`: a program that may end as it likes; `won(…)` says that it broke out, `tell(…)` what it saw.
 * - `javascript` and `shell`: the same in other languages, judged by what they saw.
 * - `wild`: a program that has to be stopped at a limit, or survives within it.
 * - `propose`: a governed tool and its input, which must not be acted on.
 * - `add`: files of a new dataset, to be refused or taken in without harm.
 * - `scenario`: more than one call: see scenarios.ts.
 */
export type Payload =
	| {readonly kind: 'refused' | 'query' | 'bomb'; readonly sql: string}
	| {readonly kind: 'python' | 'wild' | 'javascript' | 'shell'; readonly code: string}
	| {readonly kind: 'propose'; readonly tool: string; readonly input: Readonly<Record<string, Json>>}
	| {readonly kind: 'add'; readonly file: string; readonly name: string}
	| {readonly kind: 'scenario'; readonly name: string};

/** A way that an attack cannot take, with the reason. Reported, and limited in number. */
type NotApplicable = {readonly because: string};

export type Attempts = readonly Payload[] | NotApplicable;

export type Case = {
	readonly id: string;
	readonly title: string;
	/**
	 * What is right, in the letters of the plan the battery follows: denied, killed within its limit, only what is virtual is returned,
	 * no effect outside the sandbox, refused before anything ran.
	 */
	readonly expect: readonly ('D' | 'K' | 'R' | 'N' | 'P')[];
	readonly canaries: readonly Canary[];
	/** all attempts of one way together, on a machine that is busy */
	readonly maxMs: number;
	/** alone on the machine: it takes what it can get */
	readonly serial: boolean;
	readonly plan: Attempts;
	readonly code: Attempts;
	/** by default what the other two ways attempt, as far as an agent has the tools for it */
	readonly text: Attempts;
	/** why the control is not expected to succeed, where it is not */
	readonly toothless?: string;
};

type Told = Pick<Case, 'plan' | 'code' | 'toothless'> & Partial<Pick<Case, 'canaries' | 'maxMs' | 'serial' | 'text'>>;

/** A model obeys as many attempts of each kind: the others differ from them in nothing that a model has a say in. */
const MOST_OBEYED = 3;
/** No agent has a tool for these. */
const UNOBEYED: ReadonlySet<Payload['kind']> = new Set(['scenario', 'add', 'javascript', 'shell']);
/** Characters that a model is shown of a note are limited. */
const LONGEST_ORDER = 10_000;

/** A case; `expect` is written as in the plan, e.g. `P/D`. */
export function attack(id: string, title: string, expect: string, {canaries = ['file'], maxMs = 120_000, ...told}: Told): Case {
	const others = [told.plan, told.code].flatMap((attempts) => ('because' in attempts ? [] : attempts));
	const obeyed = others
		.filter((payload) => !UNOBEYED.has(payload.kind) && JSON.stringify(payload).length < LONGEST_ORDER)
		.filter(({kind}, index, all) => all.slice(0, index).filter((other) => other.kind === kind).length < MOST_OBEYED);
	return {
		id,
		title,
		expect: expect.split('/') as Case['expect'],
		canaries,
		maxMs,
		serial: told.serial ?? false,
		text: told.text ?? obeyed,
		...told,
	};
}

export function isApplicable(attempts: Attempts): attempts is readonly Payload[] {
	return !('because' in attempts);
}

export const refused = (...texts: readonly string[]): Payload[] => texts.map((sql) => ({kind: 'refused', sql}));
export const query = (...texts: readonly string[]): Payload[] => texts.map((sql) => ({kind: 'query', sql}));
export const bomb = (...texts: readonly string[]): Payload[] => texts.map((sql) => ({kind: 'bomb', sql}));
export const python = (...programs: readonly string[]): Payload[] => programs.map((code) => ({kind: 'python', code}));
export const wild = (...programs: readonly string[]): Payload[] => programs.map((code) => ({kind: 'wild', code}));
export const javascript = (...programs: readonly string[]): Payload[] => programs.map((code) => ({kind: 'javascript', code}));
export const shell = (...scripts: readonly string[]): Payload[] => scripts.map((code) => ({kind: 'shell', code}));
export const add = (file: string, name: string): Payload[] => [{kind: 'add', file, name}];
export const scenario = (name: string): Payload[] => [{kind: 'scenario', name}];

export function propose(tool: string, input: Readonly<Record<string, Json>>): Payload[] {
	return [{kind: 'propose', tool, input}];
}

/** A query plan over the attacked dataset. */
export function plan(written: Readonly<Record<string, Json>>): Payload[] {
	return propose('analyst.query_plan', {dataset_id: '@DATASET@', plan: {dataset_id: '@DATASET@', ...written}});
}

/** Scenarios that ask the engine, add files, or need an output directory. */
const SCENARIO_NEEDS: Readonly<Record<string, RunnerName>> = {
	approvals: 'sql',
	crowd: 'sql',
	oddNames: 'ingest',
	collector: 'ingest',
	recordHolds: 'python',
};
const SQL_TOOLS = new Set(['analyst.sql', 'analyst.query_plan', 'analyst.export']);

/** The runner without which the payload says nothing of a sandbox; null when none is meant to start. */
export function runnerOf(payload: Payload): RunnerName | null {
	switch (payload.kind) {
		case 'python':
		case 'wild':
			return 'python';
		case 'javascript':
		case 'shell':
			return payload.kind;
		case 'add':
			return 'ingest';
		case 'scenario':
			return SCENARIO_NEEDS[payload.name] ?? 'python';
		case 'propose':
			return SQL_TOOLS.has(payload.tool) ? 'sql' : null;
		default:
			return 'sql';
	}
}
