import assert from 'node:assert/strict';
import {test} from 'node:test';
import {createPermissionGate} from '#policy/cedar.ts';
import {withQuorum} from '#policy/quorum.ts';
import type {RuleSet} from '#policy/rules.ts';
import {createSlices, type SliceOf} from '#policy/slice.ts';
import {type Build, buildGates, compareWithOracle} from './policy-oracle/oracle.ts';

const CASES = 100_000;

test(`the gates and the oracle agree on ${CASES} random cases, in which every gate gave every answer`, (t) => {
	const seed = Math.floor(Math.random() * 2 ** 32);
	t.diagnostic(`seed ${seed}`);
	const {cases, disagreements, unmet} = compareWithOracle(CASES, seed);
	assert.deepEqual({disagreements, unmet}, {disagreements: [], unmet: []}, `node scripts/policy-oracle.ts --seed ${seed}`);
	assert.ok(cases >= CASES, `only ${cases} cases ran`);
});

/** The gates with another way to slice. */
function slicing(makeSlices: (ruleSet: RuleSet) => SliceOf): Build {
	return (ruleSet, document, off) => {
		const policy = buildGates(ruleSet, document, off);
		const gate = withQuorum(createPermissionGate(ruleSet, makeSlices(ruleSet)), document.approvals);
		return {...policy, gates: [gate, ...policy.gates.slice(1)]};
	};
}

test('the oracle agrees with the slices as they are, so that what follows is the defect and nothing else', () => {
	assert.deepEqual(compareWithOracle(2_000, 11, slicing(createSlices)).disagreements, []);
});

for (const [defect, makeSlices] of [
	[
		'forgets rules that name no action',
		(ruleSet: RuleSet) =>
			createSlices({...ruleSet, rules: new Map([...ruleSet.rules].filter(([, {json}]) => json.action.op !== 'All'))}),
	],
	['does not know the groups of the schema', (ruleSet: RuleSet) => createSlices({...ruleSet, groups: new Map()})],
	[
		'gives a tool the slice of the tool asked about before',
		(ruleSet: RuleSet): SliceOf => {
			const sliceOf = createSlices(ruleSet);
			const kept = new Map<string, ReturnType<SliceOf>>();
			return (tool) => {
				const slice = kept.get(tool.effect) ?? sliceOf(tool);
				kept.set(tool.effect, slice);
				return slice;
			};
		},
	],
	[
		'leaves out an attribute that a rule reads',
		(ruleSet: RuleSet): SliceOf => {
			const sliceOf = createSlices(ruleSet);
			return (tool) => {
				const slice = sliceOf(tool);
				return {...slice, attributes: slice.attributes && new Set([...slice.attributes].filter((name) => name !== 'untrusted'))};
			};
		},
	],
	[
		'leaves out the principal that a rule looks into',
		(ruleSet: RuleSet): SliceOf => {
			const sliceOf = createSlices(ruleSet);
			return (tool) => ({...sliceOf(tool), entities: false});
		},
	],
] as const) {
	test(`a slicer that ${defect} is found out`, () => {
		const {disagreements} = compareWithOracle(20_000, 12, slicing(makeSlices));
		assert.ok(disagreements.length > 0);
		assert.deepEqual(
			disagreements.filter(({oracle, gates}) => oracle.gates[0] === gates.gates[0]),
			[],
			'only the permission gate has the defect',
		);
	});
}
