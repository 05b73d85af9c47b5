import type {Document, YAMLMap} from 'yaml';
import {z} from 'zod';
import {isRecord} from '#contract/json.ts';
import {suggestion} from '#contract/nearest.ts';
import {type PolicyDocument, policyDocumentSchema} from '#contract/policy.ts';
import {yaml} from '#contract/yaml.ts';

/** What is wrong with a file, where. Lines and columns count from 1; both are null when the whole file is meant. */
export type Problem = {
	readonly file: string;
	readonly line: number | null;
	readonly column: number | null;
	readonly message: string;
};

export type Parsed<T> = {
	/** null when there are problems */
	readonly value: T | null;
	readonly problems: readonly Problem[];
	/** the line on which a value begins; 1 when it is not there */
	readonly lineOf: (path: readonly PropertyKey[]) => number;
};

/** More than anybody writes. Whoever may try a policy sends it to a server, which does nothing else while it reads one. */
const MOST_CHARACTERS = 100_000;
const MOST_LEVELS = 50;
const MOST_ALIASES = 20;
/** as many are shown */
const MOST_PROBLEMS = 100;

/** The text of a `policy.yaml` as a document with everything it leaves out. Never throws: what is wrong with it is in `problems`. */
export function parsePolicyText(text: string, file: string): Parsed<PolicyDocument> {
	return parseStrictYaml(text, file, policyDocumentSchema);
}

/** Parses YAML against a schema whose objects are strict. An unknown key comes with the nearest one there is. */
export function parseStrictYaml<T>(text: string, file: string, schema: z.ZodType<T>): Parsed<T> {
	const whole = (message: string): Problem => ({file, line: null, column: null, message});
	const refused = (problems: readonly Problem[], lineOf = (_path: readonly PropertyKey[]) => 1) => ({
		value: null,
		problems,
		lineOf,
	});
	if (text.length > MOST_CHARACTERS)
		return refused([whole(`it has ${text.length} characters; at most ${MOST_CHARACTERS} are read`)]);
	if (isDeep(text)) return refused([whole(`it has more than ${MOST_LEVELS} levels`)]);
	const {LineCounter, parseDocument} = yaml();
	const lines = new LineCounter();
	const document = parseDocument(text, {lineCounter: lines, prettyErrors: false, ...BOUNDED});
	const lineOf = (path: readonly PropertyKey[]) => lines.linePos(offsetOf(document, path, 'value')).line;
	const show = (mistakes: readonly Mistake[]) => {
		const shown = mistakes.slice(0, MOST_PROBLEMS).map((mistake): Problem => {
			const {offset, message} = mistake();
			const {line, col} = lines.linePos(offset);
			return {file, line, column: col, message};
		});
		const more = mistakes.length - shown.length;
		return refused([...shown.toSorted(inOrder), ...(more > 0 ? [whole(`there are ${more} more problems`)] : [])], lineOf);
	};
	const broken = [...document.errors, ...document.warnings].map(({pos, message}) => ({offset: pos[0], message}));
	const unfit = broken.length > 0 ? broken : unfitIn(document);
	if (unfit.length > 0) return show(unfit.map((mistake) => () => mistake));
	if (document.contents === null) return refused([whole('it says nothing')]);

	const parsed = schema.safeParse(toJson(document));
	if (parsed.success) return {value: parsed.data, problems: [], lineOf};
	const shape = z.toJSONSchema(schema, {io: 'input', unrepresentable: 'any'}) as Shape;
	return show(
		parsed.error.issues.flatMap(oneByOne).map((issue) => () => {
			const {path, part, message} = explain(issue, shape);
			return {offset: offsetOf(document, path, part), message};
		}),
	);
}

/** Where something is wrong, found when it is asked for: each looks through the document, and there may be thousands. */
type Mistake = () => {readonly offset: number; readonly message: string};

/**
 * What of the YAML library takes a time that grows with the square of the text is off: it compares each key with all before it,
 * and so do ordered maps, which `%YAML 1.1` or a tag of them would bring back.
 */
const BOUNDED = {uniqueKeys: false, schema: 'core', resolveKnownTags: false} as const;

/** Whether it nests too deeply for what walks it by recursion, without doing so itself. */
function isDeep(text: string): boolean {
	const {Lexer, Parser} = yaml();
	const parser = new Parser();
	for (const lexeme of new Lexer().lex(text)) {
		Array.from(parser.next(lexeme));
		if (parser.stack.length > MOST_LEVELS) return true;
	}
	return false;
}

/** What is YAML and no policy: keys that are there twice or are no text, and more aliases than are resolved in a short time. */
function unfitIn(document: Document.Parsed): readonly {readonly offset: number; readonly message: string}[] {
	const {isScalar, visit} = yaml();
	const found: {offset: number; message: string}[] = [];
	let aliases = 0;
	visit(document, {
		Alias(_key, alias) {
			aliases += 1;
			if (aliases === MOST_ALIASES + 1)
				found.push({offset: rangeOf(alias) ?? 0, message: `there are more than ${MOST_ALIASES} aliases`});
		},
		Map(_key, {items}) {
			const keys = new Set<unknown>();
			for (const {key} of items) {
				const name = isScalar(key) ? key.value : null;
				if (!isScalar(key)) found.push({offset: rangeOf(key) ?? 0, message: 'A map key must be a text'});
				else if (keys.has(name)) found.push({offset: rangeOf(key) ?? 0, message: 'Map keys must be unique'});
				keys.add(name);
			}
		},
	});
	return found;
}

function inOrder(a: Problem, b: Problem): number {
	return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}

/** `policy.yaml:3:5: …`, as compilers write it. */
export function showProblem({file, line, column, message}: Problem): string {
	return `${[file, line, column].filter((part) => part !== null).join(':')}: ${message}`;
}

function toJson(document: Document): unknown {
	try {
		return document.toJS({maxAliasCount: 100}) ?? {};
	} catch (error) {
		return error instanceof Error ? error.message : null; // a schema of objects refuses a text
	}
}

type Place = {readonly path: readonly PropertyKey[]; readonly part: 'key' | 'value'; readonly message: string};

type Issue = z.core.$ZodIssue;

/** An issue about several keys as one about each. */
function oneByOne(issue: Issue): readonly Issue[] {
	return issue.code === 'unrecognized_keys' ? issue.keys.map((key) => ({...issue, keys: [key]})) : [issue];
}

function explain(issue: Issue, shape: Shape): Place {
	const {path} = issue;
	const where = path.length === 0 ? '' : `\`${path.join('.')}\`: `;
	if (issue.code === 'unrecognized_keys') {
		const known = Object.keys(shapeAt(shape, path)?.properties ?? {});
		const [key = ''] = issue.keys;
		return {path: [...path, key], part: 'key', message: `unknown key \`${key}\`; ${suggestion(key, known)}`};
	}
	if (issue.code === 'invalid_key') {
		const name = String(path.at(-1));
		return {path, part: 'key', message: `\`${name}\`: ${issue.issues.map(({message}) => message).join('; ')}`};
	}
	return {path, part: 'value', message: `${where}${issue.message}`};
}

type Shape = {
	readonly properties?: Readonly<Record<string, Shape>>;
	readonly additionalProperties?: Shape | boolean;
	readonly items?: Shape;
};

function shapeAt(shape: Shape, path: readonly PropertyKey[]): Shape | undefined {
	return path.reduce<Shape | undefined>((at, key) => {
		if (typeof key === 'number') return at?.items;
		const other = isRecord(at?.additionalProperties) ? (at.additionalProperties as Shape) : undefined;
		return at?.properties?.[String(key)] ?? other;
	}, shape);
}

/** Where a key or value begins; what is not there is said of the nearest thing around it. */
function offsetOf(document: Document, path: readonly PropertyKey[], part: 'key' | 'value'): number {
	for (let length = path.length; length > 0; length -= 1) {
		const offset = offsetAt(document, path.slice(0, length), length === path.length ? part : 'value');
		if (offset !== undefined) return offset;
	}
	return rangeOf(document.contents) ?? 0;
}

function offsetAt(document: Document, path: readonly PropertyKey[], part: 'key' | 'value'): number | undefined {
	const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
	const pair = yaml().isMap(parent) ? pairOf(parent, path.at(-1)) : undefined;
	if (pair === undefined) return rangeOf(document.getIn(path, true));
	return (part === 'value' ? rangeOf(pair.value) : undefined) ?? rangeOf(pair.key);
}

function pairOf(map: YAMLMap<unknown, unknown>, key: PropertyKey | undefined) {
	return map.items.find((pair) => (isRecord(pair.key) ? String(pair.key.value) : String(pair.key)) === String(key));
}

function rangeOf(node: unknown): number | undefined {
	return isRecord(node) && Array.isArray(node.range) && typeof node.range[0] === 'number' ? node.range[0] : undefined;
}
