import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {Decision, EventBody, Risk} from '#contract/event.ts';
import {eventsOf} from './by-action.ts';
import type {Subject} from './once.ts';
import type {Action, Journal, Kernel} from './ports.ts';
import type {AnyTool} from './tool.ts';

/** What an agent, a person or a schedule wishes: nothing about it is trusted yet. `id` makes proposing twice harmless. */
export type Proposal = {
	readonly id: string;
	readonly tool: string;
	readonly input: unknown;
	/** the action whose code, in a sandbox, calls for it */
	readonly parent?: string;
};

/** A proposal that can be put on record: secrets taken out, digest taken. */
export type Candidate = Subject & {
	/** absent when there is no such tool */
	readonly definition: AnyTool | undefined;
	readonly input: unknown;
	readonly redactions: number;
	/** why there is no input to speak of */
	readonly unreadable: string | null;
	readonly parent?: string;
};

/** Finds the tool and redacts the input. What is not JSON cannot be recorded: its place is kept by null, and it will be refused. */
export function receive({input, ...proposal}: Proposal, kernel: Kernel): Candidate {
	const named = {...proposal, definition: kernel.tools.get(proposal.tool)};
	const {value, count} = kernel.redact(input);
	try {
		return {...named, input: value, inputDigest: kernel.digest(value), redactions: count, unreadable: null};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		return {...named, input: null, inputDigest: kernel.digest(null), redactions: 0, unreadable: error.message};
	}
}

type Validated =
	| {readonly action: Action; readonly note: readonly EventBody[]; readonly refusal: null}
	| {readonly action: null; readonly note: readonly EventBody[]; readonly refusal: Decision};

/** Parses the input. `note` is empty when this proposal is on record already. */
export function validate(candidate: Candidate, journal: Journal, kernel: Kernel): Validated {
	const {id, tool: name, definition: tool, inputDigest, unreadable, parent} = candidate;
	const isProposed = eventsOf(id, journal.events).some(({type}) => type === 'action.proposed');
	const note = isProposed ? [] : [proposed(candidate, journal)];
	const refuse = (reason: string): Validated => ({action: null, note, refusal: refusal(reason, kernel)});

	if (!tool) return refuse(`there is no tool \`${name}\`; tools: ${[...kernel.tools.keys()].join(', ')}`);
	if (unreadable !== null) return refuse(unreadable);
	const input = tool.input.safeParse(candidate.input);
	if (!input.success) return refuse(z.prettifyError(input.error));
	try {
		const risk: Risk = typeof tool.risk === 'function' ? tool.risk(input.data) : tool.risk;
		const resource = tool.resource(input.data);
		const called = parent === undefined ? {} : {parent};
		return {action: {id, tool, input: input.data, inputDigest, risk, resource, ...called}, note, refusal: null};
	} catch (bug) {
		// Fails closed: an action whose risk or target is not known cannot be judged.
		kernel.report(bug);
		return refuse('the tool could not tell the risk or the target of this input');
	}
}

/** A denial that no gate spoke: the proposal did not get that far. */
export function refusal(reason: string, kernel: Kernel): Decision {
	const policyVersion = kernel.policy().version;
	return {effect: 'deny', gates: [{gate: 'schema', effect: 'deny', rules: ['schema'], reason}], risk: 'low', policyVersion};
}

function proposed(candidate: Candidate, journal: Journal): EventBody {
	const {id, tool, definition, input, inputDigest, redactions, parent} = candidate;
	const toolVersion = definition?.version ?? '';
	const called = parent === undefined ? {} : {parentActionId: parent};
	return {
		type: 'action.proposed',
		actor: journal.principal,
		data: {actionId: id, tool, toolVersion, input, inputDigest, redactions, ...called},
	};
}
