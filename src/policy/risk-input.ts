import {compilePattern} from '#contract/pattern.ts';
import type {RiskRule} from '#contract/policy.ts';
import type {Action} from '#kernel/ports.ts';
import {carriesOut} from '#kernel/steps.ts';
import {matches} from './match.ts';
import type {Factor} from './risk.ts';

/** A text longer than this is not searched: it counts as one in which everything was found. */
const MAX_TEXT = 100_000;

/** Finds the rules whose words or patterns are in the values of an input, at any depth. */
export function createInputRules(rules: readonly RiskRule[]): (action: Action) => readonly Factor[] {
	const prepared = rules.map((rule) => ({
		rule,
		words: new Set(rule.words.map(fold)),
		patterns: rule.patterns.map((pattern) => ({pattern, expression: compilePattern(pattern)})),
	}));
	return ({tool, input}) => {
		const subject = {tool: tool.name, effect: tool.effect, egress: carriesOut(tool, input)};
		const here = prepared.filter(({rule}) => matches(rule, subject));
		if (here.length === 0) return [];
		const texts = [...textsIn(input)].map(fold);
		const long = texts.find((text) => text.length > MAX_TEXT);
		const words = long === undefined ? new Set(texts.flatMap((text) => text.match(/[\p{L}\p{N}_]+/gu) ?? [])) : new Set<string>();
		return here.flatMap(({rule, words: wanted, patterns}): Factor[] => {
			const factor = (detail: string): Factor[] => [{name: `rule:${rule.id}`, detail, level: rule.level}];
			if (long !== undefined) return factor(`a text of its input is too long to be searched`);
			const word = wanted.values().find((each) => words.has(each));
			if (word !== undefined) return factor(`its input holds the word \`${word}\``);
			const found = patterns.find(({expression}) => texts.some((text) => expression.test(text)));
			return found ? factor(`its input matches \`${found.pattern}\``) : [];
		});
	};
}

/** One spelling for what people would read as the same: case, width, spaces, and characters that cannot be seen. */
function fold(text: string): string {
	return text
		.normalize('NFKC')
		.replace(/\p{Cf}/gu, '')
		.replace(/[^\S\t\n\f\r ]/gu, ' ')
		.toLowerCase();
}

function* textsIn(value: unknown): Generator<string> {
	if (typeof value === 'string') yield value;
	else if (typeof value === 'object' && value !== null) {
		for (const [key, child] of Object.entries(value)) {
			if (!Array.isArray(value)) yield key;
			yield* textsIn(child);
		}
	}
}
