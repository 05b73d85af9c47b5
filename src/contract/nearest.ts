/** The candidate a mistyped name most likely stands for, or undefined when none is near. Case does not count. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
	const wanted = name.toLowerCase();
	const limit = Math.max(1, Math.floor(wanted.length / 3));
	let best: string | undefined;
	let bestDistance = limit + 1;
	for (const candidate of candidates) {
		const distance = editDistance(wanted, candidate.toLowerCase(), bestDistance);
		if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
	}
	return best;
}

/** `did you mean …?`, or what there is to choose from. */
export function suggestion(name: string, candidates: readonly string[]): string {
	const near = nearest(name, candidates);
	if (near !== undefined) return `did you mean \`${near}\`?`;
	const shown = candidates.slice(0, 30).join(', ');
	return `there is: ${shown}${candidates.length > 30 ? `, and ${candidates.length - 30} more` : ''}`;
}

/** Edits (insert, delete, replace, swap of neighbours) from `a` to `b`; anything from `enough` up counts as `enough`. */
function editDistance(a: string, b: string, enough: number): number {
	if (Math.abs(a.length - b.length) >= enough) return enough;
	let beforePrevious: number[] = [];
	let previous = Array.from({length: b.length + 1}, (_, index) => index);
	for (let i = 1; i <= a.length; i++) {
		const row = [i];
		for (let j = 1; j <= b.length; j++) {
			const replaced = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
			const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(beforePrevious, j - 2) + 1 : Infinity;
			row.push(Math.min(at(previous, j) + 1, at(row, j - 1) + 1, replaced, swapped));
		}
		[beforePrevious, previous] = [previous, row];
	}
	return at(previous, b.length);
}

function at(row: readonly number[], index: number): number {
	return row[index] ?? Infinity;
}
