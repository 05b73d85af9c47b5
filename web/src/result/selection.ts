/** `row` -1 is the head of the table. */
export type Place = {readonly row: number; readonly column: number};
export type Selection = {readonly anchor: Place; readonly focus: Place};
type Size = {readonly rows: number; readonly columns: number; readonly page: number};
type Key = {readonly key: string; readonly ctrlKey: boolean; readonly metaKey: boolean};

/** Where a key leads from `from`; null when it is not a key of the grid. */
export function move(from: Place | null, key: Key, size: Size): Place | null {
	if (size.rows === 0 || size.columns === 0) return null;
	const at = from ?? {row: 0, column: 0};
	const far = key.ctrlKey || key.metaKey;
	const target = far ? moveFar(at, key.key, size) : moveNear(at, key.key, size);
	if (!target || from === null) return target && at;
	return {row: clamp(target.row, -1, size.rows - 1), column: clamp(target.column, 0, size.columns - 1)};
}

function moveNear({row, column}: Place, key: string, {columns, page}: Size): Place | null {
	switch (key) {
		case 'ArrowDown':
			return {row: row + 1, column};
		case 'ArrowUp':
			return {row: row - 1, column};
		case 'ArrowRight':
			return {row, column: column + 1};
		case 'ArrowLeft':
			return {row, column: column - 1};
		case 'PageDown':
			return {row: row + page, column};
		case 'PageUp':
			return {row: Math.max(0, row - page), column};
		case 'Home':
			return {row, column: 0};
		case 'End':
			return {row, column: columns};
		default:
			return null;
	}
}

function moveFar({row, column}: Place, key: string, {rows, columns}: Size): Place | null {
	switch (key) {
		case 'ArrowDown':
			return {row: rows, column};
		case 'ArrowUp':
			return {row: 0, column};
		case 'ArrowRight':
			return {row, column: columns};
		case 'ArrowLeft':
			return {row, column: 0};
		case 'Home':
			return {row: 0, column: 0};
		case 'End':
			return {row: rows, column: columns};
		default:
			return null;
	}
}

function clamp(value: number, least: number, most: number): number {
	return Math.min(most, Math.max(least, value));
}

/** Rows and columns of the body; none when only the head is selected. */
export function rangeOf({anchor, focus}: Selection) {
	return {
		top: Math.max(0, Math.min(anchor.row, focus.row)),
		bottom: Math.max(anchor.row, focus.row),
		left: Math.min(anchor.column, focus.column),
		right: Math.max(anchor.column, focus.column),
	};
}

export function within(selection: Selection, {row, column}: Place): boolean {
	const {top, bottom, left, right} = rangeOf(selection);
	return row >= top && row <= bottom && column >= left && column <= right;
}
