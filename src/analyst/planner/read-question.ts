/** A question as a draft of what it asks for. Readers go from the most to the least certain kind of phrase. */
import {chunksOf} from './chunks.ts';
import {readComparisons} from './comparisons.ts';
import {readConditions} from './conditions.ts';
import {type Draft, emptyDraft, use} from './draft.ts';
import {readGroups} from './grouping.ts';
import {readMeasures, readRest, readShare} from './measures.ts';
import {readRanking} from './ranking.ts';
import type {Token} from './tokens.ts';
import type {Vocabulary} from './vocabulary.ts';

export function readQuestion(tokens: readonly Token[], vocabulary: Vocabulary): Draft {
	const draft = emptyDraft(chunksOf(tokens, vocabulary), vocabulary);
	for (const [at, chunk] of draft.chunks.entries()) {
		if (chunk.kind !== 'window') continue;
		use(draft, at);
		draft.windows.push(chunk.window);
	}
	readGroups(draft);
	readComparisons(draft);
	readRanking(draft);
	readConditions(draft);
	readShare(draft);
	readMeasures(draft);
	readRest(draft);
	return draft;
}
