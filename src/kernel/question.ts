import {hash} from 'node:crypto';
import type {Decision} from '#contract/event.ts';
import type {Action, Facts, Kernel, Question} from './ports.ts';

type Grounds = {
	readonly fingerprint: string | null;
	readonly decision: Decision;
	readonly facts: Facts;
	readonly salt?: string | undefined;
};

/**
 * What an action is bound to, and what a person reads when it has to be approved: changing any part of it asks again. Null when the
 * tool cannot show what it would do, so that nobody approves what they have not seen.
 */
export function toQuestion(action: Action, {fingerprint, decision, facts, salt}: Grounds, kernel: Kernel): Question | null {
	const preview = decision.effect === 'ask' ? show(action, fingerprint, kernel) : '';
	if (preview === null) return null;
	const {tool, inputDigest} = action;
	const previewDigest = preview === '' ? OF_NOTHING : hash('sha256', preview, 'hex');
	const binding = kernel.digest({
		...{tool: tool.name, version: tool.version, input: inputDigest, target: fingerprint},
		...{policy: decision.policyVersion, risk: decision.risk, budget: facts.run.budget, preview: previewDigest},
		quorum: decision.quorum,
		salt, // of the run: what was approved is not to be guessed from the binding once it was erased
	});
	return {binding, preview, previewDigest};
}

const OF_NOTHING = hash('sha256', '', 'hex');

function show(action: Action, fingerprint: string | null, kernel: Kernel): string | null {
	try {
		return String(kernel.redact(kernel.approvals.preview(action, fingerprint)).value);
	} catch (bug) {
		kernel.report(bug);
		return null;
	}
}
