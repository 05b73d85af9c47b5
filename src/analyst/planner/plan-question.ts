/**
 * The built-in planner: an English question over any dataset as a query plan, without a model. It says how it read the question, and
 * answers nothing it did not understand to the last word.
 */
import type {Dataset} from '#contract/dataset.ts';
import type {QueryPlan, QueryPlanInput} from '#contract/query-plan.ts';
import {compilePlan} from '../plan/compile-plan.ts';
import {parsePlan} from '../plan/parse-plan.ts';
import {compose} from './compose.ts';
import {followUp} from './follow-up.ts';
import {readQuestion} from './read-question.ts';
import {smallTalk} from './small-talk.ts';
import {suggest} from './suggest.ts';
import {MAX_QUESTION, tokenise} from './tokens.ts';
import {vocabularyOf} from './vocabulary.ts';

export type Planned =
	| {
			readonly kind: 'plan';
			readonly plan: QueryPlanInput;
			readonly reading: string;
			readonly confidence: number;
			readonly assumptions: readonly string[];
	  }
	| {readonly kind: 'chat'; readonly text: string}
	| {readonly kind: 'abstain'; readonly reason: string; readonly suggestions: readonly string[]};

type Context = {readonly previous?: QueryPlan | undefined};

/** Below this a plan is a guess. */
const ENOUGH = 0.6;
const DOUBT = 0.15;

export function planQuestion(question: string, dataset: Dataset, {previous}: Context = {}): Planned {
	if (question.length > MAX_QUESTION)
		return abstain('it is too long to be one question', question.slice(0, MAX_QUESTION), dataset);
	const talk = smallTalk(question, dataset);
	if (talk !== null) return {kind: 'chat', text: talk};
	const direct = planDirectly(question, dataset);
	const continued = previous && previous.dataset_id === dataset.id ? followUp(question, dataset, previous) : null;
	if (continued) {
		const checked = checkPlan(continued.plan, dataset, {confidence: 0.8, assumptions: continued.assumptions});
		if (typeof checked !== 'string') return checked;
	}
	return typeof direct === 'string' ? abstain(direct, question, dataset) : direct;
}

const YES_NO =
	/^\s*(?:why|does|did|is|are|was|were|will|would|should|has|have|do (?!we have)|(?:can|could)(?! you (?:please )?(?:show|list|give|tell|find|count))|predict|forecast)\b/i;

type Plan = Extract<Planned, {kind: 'plan'}>;

/** The plan, or why there is none. */
function planDirectly(question: string, dataset: Dataset): Plan | string {
	const tokens = tokenise(question);
	if (tokens.length === 0) return 'it has no words';
	if (YES_NO.test(question)) return 'it asks for yes or no, or for a reason';
	const draft = readQuestion(tokens, vocabularyOf(dataset));
	const [problem] = draft.problems;
	if (problem !== undefined) return problem;
	const composed = compose(draft, dataset);
	if ('problem' in composed) return composed.problem;
	const late = draft.problems[0];
	if (late !== undefined) return late;
	return checkPlan(composed.plan, dataset, {confidence: 1 - DOUBT * draft.doubts, assumptions: draft.assumptions});
}

function checkPlan(
	plan: QueryPlanInput,
	dataset: Dataset,
	{confidence, assumptions}: Pick<Plan, 'confidence' | 'assumptions'>,
): Plan | string {
	const parsed = parsePlan(plan, dataset);
	if ('problems' in parsed) return parsed.problems[0]?.message ?? 'it makes no plan';
	const {sentence} = compilePlan(parsed.plan, dataset);
	if (confidence < ENOUGH) return `it can be read in several ways; the likeliest is “${sentence}”`;
	return {kind: 'plan', plan, reading: sentence, confidence, assumptions};
}

function abstain(reason: string, question: string, dataset: Dataset): Planned {
	return {
		kind: 'abstain',
		reason,
		suggestions: suggest(question, dataset, (text) => typeof planDirectly(text, dataset) !== 'string'),
	};
}
