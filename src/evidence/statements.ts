import type {Event} from '#contract/event.ts';
import {type ActionRecord, endOf, frameOf, type Tested, testsOf, toActions} from './actions.ts';
import {digest} from './canonical.ts';
import type {Resource, Statement} from './dsse.ts';

/** The types of our own predicates; a URN, for there is nothing to fetch. */
const ACTION_DECISION = 'urn:writ:action-decision/v1';
const BUNDLE = 'urn:writ:bundle/v1';

type Named = {readonly path: string; readonly statement: Statement};

/** What a run states of each of its actions: how it was decided, and, of each that ran in a sandbox, how it tested. */
export function stateActions(events: readonly Event[]): readonly Named[] {
	return toActions(events).flatMap((action, index) => {
		const place = `${String(index + 1).padStart(4, '0')}.dsse.json`;
		const decided = {path: `statements/action-${place}`, statement: stateDecision(action, events)};
		if (!action.outcome?.data.isolation) return [decided];
		return [decided, {path: `statements/test-${place}`, statement: stateTest(action, events)}];
	});
}

/** SLSA Verification Summary v1: that the gates examined the run's actions, by which policy, and what came of it. */
export function stateVerdict(events: readonly Event[], inputs: readonly Resource[]): Statement {
	const actions = toActions(events);
	const last = events.at(-1);
	const {started} = frameOf(events);
	const refused = actions.filter(({decided, intent}) => decided?.data.decision.effect === 'deny' || intent === null);
	const versions = new Set(actions.flatMap(({decided}) => decided?.data.decision.policyVersion ?? []));
	const policies = [...new Set([started?.policyVersion ?? '', ...versions])].filter(Boolean);
	return {
		_type: 'https://in-toto.io/Statement/v1',
		subject: last ? [eventResource(last)] : [],
		predicateType: 'https://slsa.dev/verification_summary/v1',
		predicate: {
			verifier: {id: 'urn:writ:gates', version: {writ: started?.software ?? ''}},
			timeVerified: last?.at ?? '',
			resourceUri: `urn:writ:run/${last?.runId ?? ''}`,
			policy: {uri: 'urn:writ:policy', digest: digestOf(policies.at(-1) ?? '')},
			policies: policies.map((version) => ({uri: `urn:writ:policy/${version}`, digest: digestOf(version)})),
			inputAttestations: inputs.map(({name, digest: of}) => ({uri: name, digest: of})),
			verificationResult: refused.length === 0 ? 'PASSED' : 'FAILED',
			verifiedLevels: ['WRIT_GOVERNED'],
			slsaVersion: '1.1',
			examined: actions.length,
			refused: refused.map(({proposed}) => proposed.data.actionId),
		},
	};
}

/** That these files, and no others, are the bundle of a run. */
export function stateBundle(runId: string, files: readonly Resource[]): Statement {
	return {
		_type: 'https://in-toto.io/Statement/v1',
		subject: files,
		predicateType: BUNDLE,
		predicate: {runId, files: files.length},
	};
}

function stateDecision(action: ActionRecord, events: readonly Event[]): Statement {
	const {proposed, decided, intent, outcome, verified} = action;
	const decision = decided?.data.decision ?? null;
	const {actor, at, data, runId} = proposed;
	return {
		_type: 'https://in-toto.io/Statement/v1',
		subject: action.events.map(eventResource),
		predicateType: ACTION_DECISION,
		predicate: {
			...{runId, actionId: data.actionId, parentActionId: data.parentActionId ?? null},
			...{tool: data.tool, toolVersion: data.toolVersion, input: {sha256: proposed.erased ?? data.inputDigest}},
			...{proposedAt: at, proposedBy: actor, onBehalfOf: frameOf(events).started?.principal ?? null},
			decision: decision && {
				...{effect: decision.effect, policyVersion: decision.policyVersion, quorum: decision.quorum ?? null},
				gates: decision.gates.map(({gate, effect, rules, reason}) => ({gate, effect, rules, reason})),
			},
			ruleIds: [...new Set(decision?.gates.flatMap(({rules}) => rules))],
			risk: decision?.risk ?? null,
			approval: stateApproval(action),
			budget: {
				verdict: decision?.gates.find(({gate}) => gate === 'budget')?.effect ?? null,
				limits: intent?.data.limits ?? null,
			},
			labels: outcome?.data.labels ?? [],
			outcome: outcome && {
				...{
					status: outcome.data.status,
					output: {sha256: outcome.erased ?? outcome.data.outputDigest},
					error: outcome.data.error?.code ?? null,
				},
				...{durationMs: outcome.data.durationMs, usage: outcome.data.usage, isolation: outcome.data.isolation},
			},
			verdict: verified?.data.verdict.kind ?? null,
			end: endOf(action),
		},
	};
}

function stateApproval({requested, answers, intent}: ActionRecord) {
	if (!requested) return null;
	const {approvalId, binding, preview, requestedBy, approveBy} = requested.data;
	return {
		...{approvalId, digest: {sha256: binding}, preview: {sha256: requested.erased ?? digest(preview)}, requestedBy, approveBy},
		used: intent?.data.approvalId === approvalId,
		answers: answers.map(({type, at, data}) => ({
			answer: type.slice('approval.'.length),
			at,
			approver: 'approver' in data ? data.approver : null,
		})),
	};
}

/** in-toto Test Result v0.1. A case in error has failed, one that was skipped is a warning. */
function stateTest(action: ActionRecord, events: readonly Event[]): Statement {
	const {proposed, outcome} = action;
	const {started} = frameOf(events);
	const tests = testsOf(action);
	const names = (...statuses: readonly Tested['status'][]) =>
		tests.filter(({status}) => statuses.includes(status)).map(({name}) => name);
	const [passed, warned, failed] = [names('passed'), names('skipped'), names('failed', 'error')];
	const isolation = outcome?.data.isolation;
	const configuration = [
		{name: `${proposed.data.tool}@${proposed.data.toolVersion}`, digest: {sha256: proposed.erased ?? proposed.data.inputDigest}},
		...(started?.dataset ? [{name: `dataset/${started.dataset.id}`, digest: digestOf(started.dataset.hash)}] : []),
		...(started ? [{name: 'policy', digest: digestOf(started.policyVersion)}] : []),
		...(isolation ? [{name: `sandbox/${isolation.provider}/${isolation.level}`, digest: {sha256: digest(isolation)}}] : []),
	];
	return {
		_type: 'https://in-toto.io/Statement/v1',
		subject: [proposed, ...(outcome ? [outcome] : [])].map(eventResource),
		predicateType: 'https://in-toto.io/attestation/test-result/v0.1',
		predicate: {
			result: failed.length > 0 ? 'FAILED' : warned.length > 0 ? 'WARNED' : 'PASSED',
			configuration,
			passedTests: passed,
			warnedTests: warned,
			failedTests: failed,
		},
	};
}

function eventResource({runId, seq, hash}: Event): Resource {
	return {name: `run/${runId}/event/${seq}`, digest: {sha256: hash}};
}

/** A version that is a SHA-256 is its own digest. */
function digestOf(version: string): {sha256: string} {
	return {sha256: /^[0-9a-f]{64}$/.test(version) ? version : digest(version)};
}
