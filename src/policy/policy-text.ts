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

/** More than anybody writes; a server reads its policy while it starts, and again whenever it changes. */
const MOST_CHARACTERS = 1_000_000;

/** The text of a `policy.yaml` as a document with everything it leaves out. Never throws: what is wrong with it is in `problems`. */
export function parsePolicyText(text: string, file: string): Parsed<PolicyDocument> {
	return parseStrictYaml(text, file, policyDocumentSchema);
}

/** Parses YAML against a schema whose objects are strict. An unknown key comes with the nearest one there is. */
export function parseStrictYaml<T>(text: string, file: string, schema: z.ZodType<T>): Parsed<T> {
	const whole = (message: string) => ({value: null, problems: [{file, line: null, column: null, message}], lineOf: () => 1});
	if (text.length > MOST_CHARACTERS) return whole(`it has ${text.length} characters; at most ${MOST_CHARACTERS} are read`);
	const {LineCounter, parseDocument} = yaml();
	const lines = new LineCounter();
	const document = parseDocument(text, {lineCounter: lines, prettyErrors: false, uniqueKeys: true});
	const placed = (offset: number, message: string): Problem => {
		const {line, col} = lines.linePos(offset);
		return {file, line, column: col, message};
	};
	const lineOf = (path: readonly PropertyKey[]) => lines.linePos(offsetOf(document, path, 'value')).line;
	const broken = [...document.errors, ...document.warnings].map(({pos, message}) => placed(pos[0], message));
	if (broken.length > 0) return {value: null, problems: broken, lineOf};
	if (document.contents === null) return whole('it says nothing');

	const parsed = schema.safeParse(toJson(document));
	if (parsed.success) return {value: parsed.data, problems: [], lineOf};
	const shape = z.toJSONSchema(schema, {io: 'input', unrepresentable: 'any'}) as Shape;
	const problems = parsed.error.issues.flatMap((issue) =>
		explain(issue, shape).map(({path, part, message}) => placed(offsetOf(document, path, part), message)),
	);
	return {value: null, problems, lineOf};
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

function explain(issue: z.core.$ZodIssue, shape: Shape): readonly Place[] {
	const {path} = issue;
	const where = path.length === 0 ? '' : `\`${path.join('.')}\`: `;
	if (issue.code === 'unrecognized_keys') {
		const known = Object.keys(shapeAt(shape, path)?.properties ?? {});
		return issue.keys.map((key) => ({
			path: [...path, key],
			part: 'key',
			message: `unknown key \`${key}\`; ${suggestion(key, known)}`,
		}));
	}
	if (issue.code === 'invalid_key') {
		const name = String(path.at(-1));
		return [{path, part: 'key', message: `\`${name}\`: ${issue.issues.map(({message}) => message).join('; ')}`}];
	}
	return [{path, part: 'value', message: `${where}${issue.message}`}];
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
