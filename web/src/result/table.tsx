// biome-ignore-all lint/a11y/noNoninteractiveElementToInteractiveRole: a grid, laid out as a table
// biome-ignore-all lint/a11y/useFocusableInteractive: the grid has the focus and names its active cell
// biome-ignore-all lint/a11y/noRedundantRoles: a presentational table takes the roles of its rows away
// biome-ignore-all lint/a11y/noInteractiveElementToNoninteractiveRole: cells that only fill the room of those out of view
// biome-ignore-all lint/a11y/useSemanticElements: a table that scrolls inside itself cannot be the scroller
import {useVirtualizer} from '@tanstack/react-virtual';
import {type KeyboardEvent, type MouseEvent, useId, useMemo, useRef, useState} from 'react';
import type {Result} from '#contract/api.ts';
import {copyText} from '../ui/copy.tsx';
import {columnsOf, columnWidths, type Sort, sortRows, toTsv} from './cells.ts';
import {move, type Place, rangeOf, type Selection} from './selection.ts';
import {BodyCell, cellId, HeadCell} from './table-cells.tsx';

const ROW = 28;
const HEAD = 44;
const GUTTER = 48;
const RULE = 'border-line border-b bg-panel';

type TableProps = {readonly result: Pick<Result, 'columns' | 'column_types' | 'rows'>; readonly label: string};

/** A grid of any size: only what is in view is in the document. Arrows move, Shift extends, Ctrl+C copies, Enter sorts from the head. */
export function ResultTable({result, label}: TableProps) {
	const grid = useId();
	const scroller = useRef<HTMLDivElement>(null);
	const [sort, setSort] = useState<Sort>(null);
	const {columns, rows, lines, across} = useView(result, sort, () => scroller.current);
	const cycle = (column: number) =>
		setSort(sort?.column !== column ? {column, descending: false} : sort.descending ? null : {column, descending: true});
	const {selection, said, onKey, onClick} = useSelection({
		rows,
		columns,
		page: () => Math.max(1, Math.floor((scroller.current?.clientHeight ?? 300) / ROW) - 2),
		reveal(place) {
			if (place.row >= 0) lines.scrollToIndex(place.row);
			across.scrollToIndex(place.column);
		},
		onHead: cycle,
	});
	const shown = across.getVirtualItems();
	const lead = shown[0]?.start ?? 0;
	const rest = across.getTotalSize() - (shown.at(-1)?.end ?? 0);
	const body = lines.getVirtualItems();
	const above = body[0]?.start ?? 0;
	const below = lines.getTotalSize() - (body.at(-1)?.end ?? 0);
	const focus = selection?.focus;

	return (
		<div className="relative h-full min-h-0">
			<div
				ref={scroller}
				role="grid"
				tabIndex={0}
				aria-label={label}
				aria-rowcount={rows.length + 1}
				aria-colcount={columns.length + 1}
				aria-multiselectable="true"
				aria-activedescendant={focus ? cellId(grid, focus) : undefined}
				className="h-full overflow-auto outline-offset-[-2px]"
				onKeyDown={onKey}
				onClick={onClick}
				data-testid="result-table"
			>
				<table
					role="presentation"
					className="table-fixed border-separate border-spacing-0 text-xs"
					style={{width: across.getTotalSize() + GUTTER}}
				>
					<colgroup>
						<col style={{width: GUTTER}} />
						{lead > 0 && <col style={{width: lead}} />}
						{shown.map(({index, size}) => (
							<col key={index} style={{width: size}} />
						))}
						{rest > 0 && <col style={{width: rest}} />}
					</colgroup>
					<thead role="rowgroup" className="sticky top-0 z-20">
						<tr role="row" aria-rowindex={1} style={{height: HEAD}}>
							<th role="columnheader" aria-colindex={1} className={`sticky left-0 z-10 ${RULE}`}>
								<span className="sr-only">Row</span>
							</th>
							{lead > 0 && <td role="presentation" className={RULE} />}
							{shown.map(({index}) => {
								const column = columns[index];
								const focused = focus?.row === -1 && focus.column === index;
								return column && <HeadCell key={index} {...{grid, column, index, sort, focused}} onSort={() => cycle(index)} />;
							})}
							{rest > 0 && <td role="presentation" className={RULE} />}
						</tr>
					</thead>
					<tbody role="rowgroup">
						{above > 0 && <tr role="presentation" style={{height: above}} />}
						{body.map(({index: row}) => (
							<tr key={row} role="row" aria-rowindex={row + 2} style={{height: ROW}} className="group">
								<th
									role="rowheader"
									aria-colindex={1}
									data-cell={`${row}:-1`}
									className="sticky left-0 border-line border-b bg-bg px-2 text-right font-normal text-2xs text-faint group-hover:bg-hover"
								>
									{row + 1}
								</th>
								{lead > 0 && <td role="presentation" />}
								{shown.map(({index}) => {
									const column = columns[index];
									const place = {row, column: index};
									return (
										column && <BodyCell key={index} {...{grid, place, column, selection}} value={rows[row]?.[index] ?? null} />
									);
								})}
								{rest > 0 && <td role="presentation" />}
							</tr>
						))}
						{below > 0 && <tr role="presentation" style={{height: below}} />}
					</tbody>
				</table>
			</div>
			<p
				role="status"
				className={`pointer-events-none absolute right-3 bottom-3 rounded-md border border-line bg-raised px-2 py-1 text-xs ${said ? '' : 'invisible'}`}
			>
				{said}
			</p>
		</div>
	);
}

function useView(result: TableProps['result'], sort: Sort, getScrollElement: () => HTMLDivElement | null) {
	const columns = useMemo(() => columnsOf(result), [result]);
	const rows = useMemo(() => sortRows(result.rows, sort), [result, sort]);
	const widths = useMemo(() => columnWidths(columns, result.rows), [columns, result]);
	const lines = useVirtualizer({
		count: rows.length,
		getScrollElement,
		estimateSize: () => ROW,
		overscan: 12,
		scrollPaddingStart: HEAD,
		scrollPaddingEnd: HEAD + ROW,
	});
	const across = useVirtualizer({
		horizontal: true,
		count: columns.length,
		getScrollElement,
		estimateSize: (index) => widths[index] ?? 100,
		overscan: 3,
		scrollPaddingStart: GUTTER,
		scrollPaddingEnd: GUTTER,
	});
	return {columns, rows, lines, across};
}

type Grid = {
	readonly rows: ReturnType<typeof sortRows>;
	readonly columns: ReturnType<typeof columnsOf>;
	readonly page: () => number;
	readonly reveal: (place: Place) => void;
	readonly onHead: (column: number) => void;
};

function useSelection({rows, columns, page, reveal, onHead}: Grid) {
	const [selection, setSelection] = useState<Selection | null>(null);
	const [said, setSaid] = useState('');
	const select = (focus: Place, extend: boolean) => {
		setSelection({anchor: extend && selection ? selection.anchor : focus, focus});
		reveal(focus);
	};
	const copy = async (selected: Selection) => {
		const {top, bottom, left, right} = rangeOf(selected);
		const cells = rows.slice(top, bottom + 1).map((row) => row.slice(left, right + 1));
		const done = await copyText(toTsv(columns.slice(left, right + 1), cells, cells.length !== 1));
		setSaid(done ? `${cells.length} × ${right - left + 1} copied` : 'Copying is not allowed here');
		setTimeout(() => setSaid(''), 2_000);
	};
	const onCommand = (key: string): boolean => {
		if (key === 'c' && selection) void copy(selection);
		else if (key === 'a') setSelection({anchor: {row: 0, column: 0}, focus: {row: rows.length - 1, column: columns.length - 1}});
		else return false;
		return true;
	};
	const onKey = (event: KeyboardEvent) => {
		const focus = selection?.focus ?? null;
		const handled = (event.ctrlKey || event.metaKey) && onCommand(event.key);
		const onSort = focus?.row === -1 && (event.key === 'Enter' || event.key === ' ');
		if (onSort) onHead(focus.column);
		const target = handled || onSort ? null : move(focus, event, {rows: rows.length, columns: columns.length, page: page()});
		if (target) select(target, event.shiftKey);
		if (handled || onSort || target) event.preventDefault();
	};
	const onClick = (event: MouseEvent) => {
		const cell = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-cell]') : null;
		const [row, column] = cell?.dataset.cell?.split(':').map(Number) ?? [];
		if (row === undefined || column === undefined) return;
		if (column >= 0) select({row, column}, event.shiftKey);
		else setSelection({anchor: {row, column: 0}, focus: {row, column: columns.length - 1}});
	};
	return {selection, said, onKey, onClick};
}
