export type Place = {readonly row: number; readonly column: number};
export type Selection = {readonly anchor: Place; readonly focus: Place};
type Size = {readonly rows: number; readonly columns: number; readonly page: number};
type Key = {readonly key: string; readonly ctrlKey: boolean; readonly metaKey: boolean};

/** Where a key leads from `from`; null when it is not a key of the grid. */
export function move(from: Place | null, {key, ctrlKey, metaKey}: Key, {rows, columns, page}: Size): Place | null {
	const far = ctrlKey || metaKey;
	const at = from ?? {row: 0, column: 0};
	const to = (row: number, column: number) => ({row: clamp(row, rows), column: clamp(column, columns)});
	const steps: Readonly<Record<string, () => Place>> = {
		ArrowDown: () => to(far ? rows : at.row + 1, at.column),
		ArrowUp: () => to(far ? 0 : at.row - 1, at.column),
		ArrowRight: () => to(at.row, far ? columns : at.column + 1),
		ArrowLeft: () => to(at.row, far ? 0 : at.column - 1),
		PageDown: () => to(at.row + page, at.column),
		PageUp: () => to(at.row - page, at.column),
		Home: () => to(far ? 0 : at.row, 0),
		End: () => to(far ? rows : at.row, columns),
	};
	const step = Object.hasOwn(steps, key) ? steps[key] : undefined;
	if (!step || rows === 0 || columns === 0) return null;
	return from === null ? at : step();
}

export function rangeOf({anchor, focus}: Selection) {
	return {
		top: Math.min(anchor.row, focus.row),
		bottom: Math.max(anchor.row, focus.row),
		left: Math.min(anchor.column, focus.column),
		right: Math.max(anchor.column, focus.column),
	};
}

export function within(selection: Selection, {row, column}: Place): boolean {
	const {top, bottom, left, right} = rangeOf(selection);
	return row >= top && row <= bottom && column >= left && column <= right;
}

function clamp(index: number, count: number): number {
	return Math.min(count - 1, Math.max(0, index));
}
