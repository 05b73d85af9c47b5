import type {Action} from '#kernel/ports.ts';

const MAX_CHARACTERS = 4_000;

/** What the approver reads: the tool's own preview, or the input as JSON. Cut where it is too long, and it says so. */
export function toPreview({tool, input}: Action, target: string | null = null): string {
	const text = visible(tool.preview?.(input, target) ?? JSON.stringify(input ?? null, null, 2));
	if (text.length <= MAX_CHARACTERS) return text;
	const mark = `\n… cut: this is the beginning of ${text.length} characters …`;
	// Half of a surrogate pair is no character.
	return `${text.slice(0, MAX_CHARACTERS - mark.length).replace(/[\uD800-\uDBFF]$/, '')}${mark}`;
}

/**
 * Characters that show as nothing, or that reorder or overwrite what is around them, become their escapes: the approver must not
 * read something other than what will run.
 */
function visible(text: string): string {
	// U+2800, a pattern of no dots, is the one that Unicode does not call ignorable.
	return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}\p{DI}\u2800]/gu, (character) =>
		character === '\n' || character === '\t' ? character : `\\u{${character.codePointAt(0)?.toString(16)}}`,
	);
}
