import {z} from 'zod';
import type {Decision, EventBody, Risk} from '#contract/event.ts';
import type {Action, Journal, Kernel} from './ports.ts';

/** What an agent, a person or a schedule wishes: nothing about it is trusted yet. `id` makes proposing twice harmless. */
export type Proposal = {readonly id: string; readonly tool: string; readonly input: unknown};

type Validated =
	| {readonly action: Action; readonly note: readonly EventBody[]; readonly refusal: null}
	| {readonly action: null; readonly note: readonly EventBody[]; readonly refusal: Decision};

/** Finds the tool, redacts secrets, parses the input. `note` is empty when this proposal is on record already. */
export function validate(proposal: Proposal, journal: Journal, kernel: Kernel): Validated {
	const tool = kernel.tools.get(proposal.tool);
	const {value, count} = kernel.redact(proposal.input);
	const inputDigest = kernel.digest(value);
	const note = isProposed(proposal.id, journal)
		? []
		: [
				proposed(
					{
						actionId: proposal.id,
						tool: proposal.tool,
						toolVersion: tool?.version ?? '',
						input: value,
						inputDigest,
						redactions: count,
					},
					journal,
				),
			];
	const refuse = (reason: string): Validated => ({action: null, note, refusal: refusal(reason, kernel.policy().version)});

	if (!tool) return refuse(`there is no tool \`${proposal.tool}\`; tools: ${[...kernel.tools.keys()].join(', ')}`);
	const input = tool.input.safeParse(value);
	if (!input.success) return refuse(z.prettifyError(input.error));
	const risk: Risk = typeof tool.risk === 'function' ? tool.risk(input.data) : tool.risk;
	return {
		action: {id: proposal.id, tool, input: input.data, inputDigest, risk, resource: tool.resource(input.data)},
		note,
		refusal: null,
	};
}

function isProposed(actionId: string, journal: Journal): boolean {
	return journal.events.some((event) => event.type === 'action.proposed' && event.data.actionId === actionId);
}

function proposed(data: Extract<EventBody, {type: 'action.proposed'}>['data'], journal: Journal): EventBody {
	return {type: 'action.proposed', actor: journal.principal, data};
}

function refusal(reason: string, policyVersion: string): Decision {
	return {effect: 'deny', gates: [{gate: 'schema', effect: 'deny', rules: ['schema'], reason}], risk: 'low', policyVersion};
}
