import {readFileSync} from 'node:fs';
import path from 'node:path';
import {policySetTextToParts} from '@cedar-policy/cedar-wasm/nodejs';
import {WritError} from '#contract/errors.ts';
import type {PolicyDocument} from '#contract/policy.ts';
import {BUILT_IN, createPolicy, type LoadedPolicy, loadTexts, type PolicyOptions} from './policy.ts';
import {type Parsed, type Problem, parsePolicyText, showProblem} from './policy-text.ts';

/** One part of a policy as its author wrote it. */
export type Source = {readonly name: string; readonly text: string};

/** A policy that was read, sound or not. */
export type ReadPolicy = {
	/** null when there are problems: then nothing of it may come into force */
	readonly policy: LoadedPolicy | null;
	readonly problems: readonly Problem[];
	readonly sources: readonly Source[];
	/** the files it was read from, and those that it names */
	readonly files: readonly string[];
};

export type PolicyParts = Pick<PolicyOptions, 'digest' | 'cache' | 'disabledTools'>;

/** The text behind a name. Throws when there is none. */
export type ReadFile = (name: string) => string;

/** Cedar rules with their place: `line` is where their text begins in the file. */
type Rules = Source & {readonly line: number};

/** Reads a policy: `policy.yaml` and the Cedar files it names, Cedar rules alone (`*.cedar`), or what is built in when `file` is null. */
export function readPolicy(file: string | null, parts: PolicyParts, read: ReadFile = readText): ReadPolicy {
	const shown = file === null ? '' : path.basename(file);
	const text = file === null ? null : tryRead(file, read);
	if (text instanceof Error)
		return broken([{file: shown, line: null, column: null, message: `cannot be read: ${text.message}`}], [file ?? '']);
	const builtIn = loadTexts();
	if (file === null || text === null) return build(BUILT_IN, [], {builtIn, parts, files: [], sources: []});
	const own = {name: shown, text};
	if (file.endsWith('.cedar')) return build(BUILT_IN, [{...own, line: 1}], {builtIn, parts, files: [file], sources: [own]});

	const parsed = parsePolicyText(text, shown);
	if (parsed.value === null) return broken(parsed.problems, [file]);
	const {files, rules, problems} = rulesOf(parsed, {file, read, shown});
	if (problems.length > 0) return broken(problems, [file, ...files]);
	const sources = [own, ...rules.slice(1)];
	return build(parsed.value, rules, {builtIn, parts, files: [file, ...files], sources});
}

/** Throws `invalid_config` with every problem, one a line, for a policy that is not sound. */
export function assertSound({policy, problems}: ReadPolicy): LoadedPolicy {
	if (policy) return policy;
	throw new WritError('invalid_config', problems.map(showProblem).join('\n'), {
		hint: 'mend the policy file; `writ policy check FILE` says what is wrong without a server',
		details: {problems},
	});
}

type Context = {
	readonly builtIn: ReturnType<typeof loadTexts>;
	readonly parts: PolicyParts;
	readonly files: readonly string[];
	readonly sources: readonly Source[];
};

function build(document: PolicyDocument, rules: readonly Rules[], {builtIn, parts, files, sources}: Context): ReadPolicy {
	const syntax = rules.flatMap(syntaxProblems);
	if (syntax.length > 0) return broken(syntax, files);
	const defaults = document.cedar.builtin ? [{name: 'default.cedar', text: builtIn.rules, line: 1}] : [];
	const builtInRules = [...defaults, {name: 'roles.cedar', text: builtIn.roles, line: 1}];
	const all = [...builtInRules, ...rules.filter(({text}) => text.trim() !== '')];
	const policies = all.map(({text}) => text).join('\n');
	const policy = createPolicy({...parts, policies, schema: builtIn.schema, document});
	const problems = policy.problems.map((message) => place(message, all, files[0]));
	const shown = [...builtInRules.map(({name, text}) => ({name, text})), {name: 'schema.cedarschema', text: builtIn.schema}];
	if (problems.length > 0) return broken(problems, files);
	return {policy, problems: [], sources: [...sources.map(({name, text}) => ({name, text})), ...shown], files};
}

function broken(problems: readonly Problem[], files: readonly string[]): ReadPolicy {
	return {policy: null, problems, sources: [], files};
}

type Reading = {readonly file: string; readonly shown: string; readonly read: ReadFile};

/** The inline rules first, then those of each file that is named. */
function rulesOf({value, lineOf}: Parsed<PolicyDocument>, {file, shown, read}: Reading) {
	const cedar = value?.cedar ?? {rules: '', files: []};
	const inline = {name: shown, text: cedar.rules, line: lineOf(['cedar', 'rules']) + 1};
	const rules: Rules[] = [inline];
	const problems: Problem[] = [];
	const files = cedar.files.map((name) => path.resolve(path.dirname(file), name));
	for (const [index, name] of cedar.files.entries()) {
		const text = tryRead(files[index] ?? name, read);
		if (text instanceof Error)
			problems.push({
				file: shown,
				line: lineOf(['cedar', 'files', index]),
				column: null,
				message: `\`${name}\` cannot be read: ${text.message}`,
			});
		else rules.push({name, text, line: 1});
	}
	return {rules, problems, files};
}

function syntaxProblems({name, text, line}: Rules): readonly Problem[] {
	if (text.trim() === '') return [];
	const parts = attempt(() => policySetTextToParts(text));
	if (parts instanceof Error) return [{file: name, line, column: null, message: `the policies cannot be read: ${parts.message}`}];
	if (parts.type === 'success') return [];
	return parts.errors.map(({message, help, sourceLocations}) => {
		const before = Buffer.from(text)
			.subarray(0, sourceLocations?.[0]?.start ?? 0)
			.toString()
			.split('\n');
		const inline = line > 1 ? null : (before.at(-1)?.length ?? 0) + 1; // a block of YAML is indented
		return {
			file: name,
			line: line + before.length - 1,
			column: inline,
			message: help === null ? message : `${message} (${help})`,
		};
	});
}

/** What the validator says of a rule is said of the line its id is on. */
function place(message: string, all: readonly Rules[], fallback: string | undefined): Problem {
	const id = /policy `([^`]+)`/.exec(message)?.[1];
	for (const {name, text, line} of all.toReversed()) {
		const at = id === undefined ? -1 : text.indexOf(`@id("${id}")`);
		if (at >= 0) return {file: name, line: line + text.slice(0, at).split('\n').length - 1, column: null, message};
	}
	return {file: path.basename(fallback ?? 'the built-in policy'), line: null, column: null, message};
}

function readText(file: string): string {
	return readFileSync(file, 'utf8');
}

function tryRead(file: string, read: ReadFile): string | Error {
	return attempt(() => read(file));
}

function attempt<T>(work: () => T): T | Error {
	try {
		return work();
	} catch (error) {
		return error instanceof Error ? error : new Error(String(error));
	}
}
