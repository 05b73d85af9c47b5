/**
 * Compares the gates of the policy with an oracle on random policies and questions.
 *   node scripts/policy-oracle.ts [--cases 100000] [--seed 1]
 * Exits with 1 when they disagree, or when fewer cases ran than were asked for, or when no case called for some answer of some gate.
 */
import {parseArgs} from 'node:util';
import {compareWithOracle} from '../test/policy-oracle/oracle.ts';

const {values} = parseArgs({options: {cases: {type: 'string', default: '100000'}, seed: {type: 'string'}}});
const asked = Number(values.cases);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
if (!Number.isSafeInteger(asked) || asked < 1 || !Number.isSafeInteger(seed))
	throw new Error('--cases and --seed are whole numbers');

const started = performance.now();
const {cases, policySets, met, unmet, disagreements} = compareWithOracle(asked, seed);
const seconds = ((performance.now() - started) / 1_000).toFixed(1);
for (const {case: number, policies, question, oracle, gates} of disagreements)
	console.error(`case ${number}:\n${policies}\n${JSON.stringify({question, oracle, gates}, null, '\t')}`);
console.log(
	`seed ${seed}: ${cases} cases on ${policySets} policies in ${seconds} s, ${disagreements.length} disagreements; ${JSON.stringify(met)}`,
);
if (unmet.length > 0) console.error(`never met: ${unmet.join(', ')}`);
if (disagreements.length > 0 || cases < asked || unmet.length > 0) process.exitCode = 1;
