// biome-ignore-all lint/a11y/useSemanticElements: the head of a grid
// biome-ignore-all lint/a11y/noNoninteractiveElementToInteractiveRole: cells of a grid, laid out as a table
// biome-ignore-all lint/a11y/useFocusableInteractive: the grid has the focus and names its active cell
import {type Cell, type Column, formatCell, type Sort} from './cells.ts';
import {type Place, type Selection, within} from './selection.ts';

/** Unique on the page: a chart shows the same table twice. */
export const cellId = (grid: string, {row, column}: Place) => `${grid}-${row}-${column}`;

type HeadProps = {
	readonly grid: string;
	readonly column: Column;
	readonly index: number;
	readonly sort: Sort;
	readonly focused: boolean;
	readonly onSort: () => void;
};

export function HeadCell({grid, column, index, sort, focused, onSort}: HeadProps) {
	const sorted = sort?.column === index ? (sort.descending ? 'descending' : 'ascending') : 'none';
	const end = column.look !== 'text';
	return (
		<th
			role="columnheader"
			id={cellId(grid, {row: -1, column: index})}
			aria-colindex={index + 2}
			aria-sort={sorted}
			className={`border-line border-b bg-panel p-0 font-medium ${focused ? '-outline-offset-2 outline-2 outline-accent' : ''}`}
		>
			<button
				type="button"
				tabIndex={-1}
				onClick={onSort}
				title={`${column.name} · sort the rows shown`}
				className={`flex h-11 w-full flex-col justify-center px-2.5 hover:bg-hover ${end ? 'items-end' : 'items-start'}`}
			>
				<span className="max-w-full truncate">
					{column.name === '' ? <em className="text-faint">no name</em> : column.name}
					{sorted !== 'none' && <span aria-hidden="true">{sorted === 'ascending' ? ' ↑' : ' ↓'}</span>}
				</span>
				<span className="font-normal text-2xs text-faint">{column.type}</span>
			</button>
		</th>
	);
}

type BodyProps = {
	readonly grid: string;
	readonly place: Place;
	readonly column: Column;
	readonly value: Cell;
	readonly selection: Selection | null;
};

export function BodyCell({grid, place, column, value, selection}: BodyProps) {
	const chosen = selection !== null && within(selection, place);
	const focused = selection?.focus.row === place.row && selection.focus.column === place.column;
	const ground = chosen ? 'bg-soft' : 'group-hover:bg-hover';
	return (
		<td
			role="gridcell"
			id={cellId(grid, place)}
			data-cell={`${place.row}:${place.column}`}
			aria-colindex={place.column + 2}
			aria-selected={chosen}
			title={column.digits !== null && typeof value === 'number' ? String(value) : undefined}
			className={`truncate border-line border-b px-2.5 ${column.look === 'text' ? '' : 'text-right'} ${ground} ${focused ? '-outline-offset-2 outline-2 outline-accent' : ''}`}
		>
			{value === null ? <span className="text-2xs text-faint italic">null</span> : formatCell(value, column)}
		</td>
	);
}
