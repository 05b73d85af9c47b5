import {
	checkParseContext,
	checkParseEntities,
	checkParsePolicySet,
	type PolicyJson,
	type SchemaJson,
	type ValidationAnswer,
	validate,
} from '@cedar-policy/cedar-wasm/nodejs';
import {CONTEXT_SAMPLES, PRINCIPAL_SAMPLES} from './request.ts';

type Schema = SchemaJson<string>;
type NamedPolicy = {readonly id: string; readonly text: string; readonly json: PolicyJson};

/** Requests are not validated one by one, so the schema is checked once against what every request looks like. */
export function schemaProblems(schema: Schema): readonly string[] {
	const action = {type: 'Action', id: 'read'};
	const answers = [
		...CONTEXT_SAMPLES.map((context) => checkParseContext({context, schema, action})),
		...PRINCIPAL_SAMPLES.map((entity) => checkParseEntities({entities: [entity], schema})),
	];
	const errors = answers.flatMap((answer) => (answer.type === 'failure' ? answer.errors : []));
	return [...new Set(errors.map((error) => `the schema does not fit the requests of this platform: ${error.message}`))];
}

/** Cedar checks each policy against each action of the schema; in batches this small that product stays linear. */
const BATCH = 8;

/**
 * What Cedar's validator says against the policies. A warning counts: it says that a policy can never apply or that its text
 * misleads its reader, and a `forbid` like that is a hole.
 */
export function policyProblems(policies: readonly NamedPolicy[], schema: Schema): readonly string[] {
	const [bound, free] = [policies.filter(isBound), policies.filter((policy) => !isBound(policy))];
	const answers = [validateBatch(free, schema)];
	for (let start = 0; start < bound.length; start += BATCH) {
		const batch = bound.slice(start, start + BATCH);
		answers.push(validateBatch(batch, narrow(schema, mentionedActions(batch.map(({json}) => json)))));
	}
	// Slices are parsed from JSON; what cannot be is said now, and not by the first action that needs it.
	const sliceable = checkParsePolicySet({staticPolicies: Object.fromEntries(policies.map(({id, json}) => [id, json]))});
	const unsliceable = sliceable.type === 'failure' ? sliceable.errors.map(({message}) => message) : [];
	return [...answers.flatMap(problemsIn), ...unsliceable];
}

function validateBatch(policies: readonly NamedPolicy[], schema: Schema): ValidationAnswer {
	return validate({schema, policies: {staticPolicies: Object.fromEntries(policies.map(({id, text}) => [id, text]))}});
}

function problemsIn(answer: ValidationAnswer): readonly string[] {
	if (answer.type === 'failure') return answer.errors.map((error) => `the policies cannot be validated: ${error.message}`);
	return [...answer.validationErrors, ...answer.validationWarnings].map(({error}) =>
		error.help === null ? error.message : `${error.message} (${error.help})`,
	);
}

/** A bound policy names its actions, so no other action can make a difference to whether it is valid. */
function isBound({json}: NamedPolicy): boolean {
	return json.action.op !== 'All';
}

/** The schema with only those actions, the groups they are in and the members they have. */
function narrow(schema: Schema, names: ReadonlySet<string>): Schema {
	const root = schema[''];
	if (root === undefined) return schema;
	const all = Object.entries(root.actions);
	const parentsOf = new Map(all.map(([name, {memberOf = []}]) => [name, memberOf.map(({id}) => id)]));
	const kept = new Set([...names].filter((name) => parentsOf.has(name)));
	const members = (group: string) => all.flatMap(([name]) => (parentsOf.get(name)?.includes(group) ? [name] : []));
	for (const name of kept) for (const member of members(name)) kept.add(member);
	for (const name of kept) for (const parent of parentsOf.get(name) ?? []) kept.add(parent);
	return {...schema, '': {...root, actions: Object.fromEntries(all.filter(([name]) => kept.has(name)))}};
}

/** Every action a policy speaks of, in its scope or in a condition. */
function mentionedActions(node: unknown, found: Set<string> = new Set()): Set<string> {
	if (typeof node !== 'object' || node === null) return found;
	if ('type' in node && node.type === 'Action' && 'id' in node && typeof node.id === 'string') found.add(node.id);
	for (const child of Object.values(node)) mentionedActions(child, found);
	return found;
}
