/**
 * The scope of a run: what it may do, written down before it has read anything. Whatever it does not name is denied, and what it leaves
 * to the agent is asked of a person. The gates compare values; what a text says counts for nothing.
 */
import {z} from 'zod';

const stepIdSchema = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'expected an id of small letters, digits and dashes');
/** Names of members and `*` for each element of a list, joined by dots: `mails.*.id`. */
const pathSchema = z.string().regex(/^[\w-]+(\.([\w-]+|\*))*$|^\*(\.([\w-]+|\*))*$/, 'expected a path such as `mails.*.id`');

/** Lists and objects within each other; more of them no value needs, and reading them would take the stack. */
const MAX_DEPTH = 64;

const jsonSchema = z
	.unknown()
	.refine((value) => isShallow(value, MAX_DEPTH), `may be nested ${MAX_DEPTH} deep at most`)
	.pipe(z.json());

function isShallow(value: unknown, depth: number): boolean {
	if (typeof value !== 'object' || value === null) return true;
	return depth > 0 && Object.values(value).every((each) => isShallow(each, depth - 1));
}

const valueSchema = z.union([
	/** exactly this value */
	z.strictObject({is: jsonSchema}),
	/** one of these; which one is the agent's choice */
	z.strictObject({oneOf: z.array(jsonSchema).min(1).max(1_000)}),
	/** a value that an earlier step returned */
	z.strictObject({
		from: stepIdSchema,
		path: pathSchema,
		/** members that the element of the last `*` has to have */
		where: z.record(z.string(), jsonSchema).optional(),
		/** it stands somewhere in the text at that path, as a whole word; which one is the agent's choice */
		part: z.literal(true).optional(),
	}),
	/** any text of at most so many characters */
	z.strictObject({text: z.int().min(1).max(1_000_000)}),
	/** any value whose JSON has at most so many characters, such as the plan of a query */
	z.strictObject({json: z.int().min(1).max(1_000_000)}),
	/** any number from the first to the second */
	z.strictObject({between: z.tuple([z.number(), z.number()])}),
]);
export type ValueRule = z.infer<typeof valueSchema>;

const argumentSchema = z.union([
	valueSchema,
	/** a list of at most so many values, each as said */
	z.strictObject({each: valueSchema, atMost: z.int().min(1).max(1_000)}),
]);
export type ArgumentRule = z.infer<typeof argumentSchema>;

const stepSchema = z.strictObject({
	id: stepIdSchema,
	tool: z.string().min(1).max(200),
	/** how often it may be started */
	times: z.int().min(1).max(1_000).default(1),
	/** steps that have to have succeeded before it */
	after: z.array(stepIdSchema).default([]),
	/** an argument that is not named has to be what the tool takes when it is left out */
	input: z.record(z.string(), argumentSchema).default({}),
});
export type ScopeStep = z.infer<typeof stepSchema>;

export const scopeSchema = z.strictObject({steps: z.array(stepSchema).min(1).max(200)}).superRefine(({steps}, context) => {
	const before = new Set<string>();
	for (const [index, {id, after, input}] of steps.entries()) {
		const issue = (message: string) => context.addIssue({code: 'custom', path: ['steps', index], message});
		if (before.has(id)) issue(`there are two steps with the id \`${id}\``);
		for (const name of [...after, ...Object.values(input).flatMap(sourceOf)])
			if (!before.has(name)) issue(`there is no step \`${name}\` before it`);
		before.add(id);
	}
});
export type Scope = z.infer<typeof scopeSchema>;
export type ScopeInput = z.input<typeof scopeSchema>;

function sourceOf(rule: ArgumentRule): string[] {
	const inner = 'each' in rule ? rule.each : rule;
	return 'from' in inner ? [inner.from] : [];
}
