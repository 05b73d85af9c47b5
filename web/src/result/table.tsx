import {useVirtualizer} from '@tanstack/react-virtual';
import {type KeyboardEvent, type MouseEvent, useMemo, useRef, useState} from 'react';
import type {Result} from '#contract/api.ts';
import {copyText} from '../ui/copy.tsx';
import {type Cell, type Column, columnsOf, columnWidths, formatCell, type Sort, sortRows, toTsv} from './cells.ts';
import {move, type Place, rangeOf, type Selection, within} from './selection.ts';

const ROW = 28;
const HEAD = 44;
const GUTTER = 48;

type TableProps = {readonly result: Pick<Result, 'columns' | 'column_types' | 'rows'>; readonly label: string};

/** A grid of any size: only what is in view is in the document. Arrows move, Shift extends, Ctrl+C copies. */
export function ResultTable({result, label}: TableProps) {
	const scroller = useRef<HTMLDivElement>(null);
	const [sort, setSort] = useState<Sort>(null);
	const [selection, setSelection] = useState<Selection | null>(null);
	const [said, setSaid] = useState('');
	const columns = useMemo(() => columnsOf(result), [result]);
	const rows = useMemo(() => sortRows(result.rows, sort), [result, sort]);
	const widths = useMemo(() => columnWidths(columns, result.rows), [columns, result]);
	const lines = useVirtualizer({
		count: rows.length,
		getScrollElement: () => scroller.current,
		estimateSize: () => ROW,
		overscan: 12,
		scrollPaddingStart: HEAD,
	});
	const across = useVirtualizer({
		horizontal: true,
		count: columns.length,
		getScrollElement: () => scroller.current,
		estimateSize: (index) => widths[index] ?? 100,
		overscan: 3,
		scrollPaddingStart: GUTTER,
	});
	const shown = across.getVirtualItems();
	const lead = shown[0]?.start ?? 0;
	const rest = across.getTotalSize() - (shown.at(-1)?.end ?? 0);
	const body = lines.getVirtualItems();
	const above = body[0]?.start ?? 0;
	const below = lines.getTotalSize() - (body.at(-1)?.end ?? 0);

	const select = (focus: Place, extend: boolean) => {
		setSelection({anchor: extend && selection ? selection.anchor : focus, focus});
		lines.scrollToIndex(focus.row);
		across.scrollToIndex(focus.column);
	};
	const copy = async () => {
		if (!selection) return;
		const {top, bottom, left, right} = rangeOf(selection);
		const cells = rows.slice(top, bottom + 1).map((row) => row.slice(left, right + 1));
		const done = await copyText(toTsv(columns.slice(left, right + 1), cells, cells.length > 1));
		setSaid(done ? `${cells.length} × ${right - left + 1} copied` : 'Copying is not allowed here');
		setTimeout(() => setSaid(''), 2_000);
	};
	const onKey = (event: KeyboardEvent) => {
		const command = event.ctrlKey || event.metaKey;
		if (command && event.key === 'c' && selection) {
			event.preventDefault();
			return void copy();
		}
		const size = {
			rows: rows.length,
			columns: columns.length,
			page: Math.max(1, Math.floor((scroller.current?.clientHeight ?? 300) / ROW) - 2),
		};
		if (command && event.key === 'a') {
			event.preventDefault();
			return setSelection({anchor: {row: 0, column: 0}, focus: {row: size.rows - 1, column: size.columns - 1}});
		}
		const target = move(selection?.focus ?? null, event, size);
		if (!target) return;
		event.preventDefault();
		select(target, event.shiftKey);
	};
	const onCell = (event: MouseEvent<HTMLTableElement>) => {
		const cell = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-cell]') : null;
		const [row, column] = cell?.dataset.cell?.split(':').map(Number) ?? [];
		if (row === undefined || column === undefined) return;
		select({row, column: Math.max(0, column)}, event.shiftKey);
		if (column < 0) setSelection({anchor: {row, column: 0}, focus: {row, column: columns.length - 1}});
	};
	const cycle = (column: number) =>
		setSort(sort?.column !== column ? {column, descending: false} : sort.descending ? null : {column, descending: true});
	const focus = selection?.focus;

	return (
		<div className="relative h-full min-h-0">
			{/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and it is the keyboard's way into the grid */}
			{/* biome-ignore lint/a11y/noStaticElementInteractions: keys of the grid inside, which has the role */}
			<div
				ref={scroller}
				className="h-full overflow-auto outline-offset-[-2px]"
				tabIndex={0}
				onKeyDown={onKey}
				data-testid="result-table"
			>
				{/* biome-ignore lint/a11y/useKeyWithClickEvents: the scroller takes the keys */}
				<table
					role="grid"
					aria-label={label}
					aria-rowcount={rows.length + 1}
					aria-colcount={columns.length + 1}
					aria-multiselectable="true"
					aria-activedescendant={focus ? `cell-${focus.row}-${focus.column}` : undefined}
					className="table-fixed border-separate border-spacing-0 text-xs"
					style={{width: across.getTotalSize() + GUTTER}}
					onClick={onCell}
				>
					<colgroup>
						<col style={{width: GUTTER}} />
						{lead > 0 && <col style={{width: lead}} />}
						{shown.map(({index, size}) => (
							<col key={index} style={{width: size}} />
						))}
						{rest > 0 && <col style={{width: rest}} />}
					</colgroup>
					<thead className="sticky top-0 z-20">
						<tr aria-rowindex={1} style={{height: HEAD}}>
							<th scope="col" aria-colindex={1} className="sticky left-0 z-10 border-line border-b bg-panel">
								<span className="sr-only">Row</span>
							</th>
							{lead > 0 && <td aria-hidden="true" className="border-line border-b bg-panel" />}
							{shown.map(({index}) => (
								<HeadCell key={index} column={columns[index]} index={index} sort={sort} onSort={() => cycle(index)} />
							))}
							{rest > 0 && <td aria-hidden="true" className="border-line border-b bg-panel" />}
						</tr>
					</thead>
					<tbody>
						{above > 0 && <tr aria-hidden="true" style={{height: above}} />}
						{body.map(({index: row}) => (
							<tr key={row} aria-rowindex={row + 2} style={{height: ROW}} className="group">
								<th
									scope="row"
									aria-colindex={1}
									data-cell={`${row}:-1`}
									className="sticky left-0 border-line border-b bg-bg px-2 text-right font-normal text-2xs text-faint group-hover:bg-hover"
								>
									{row + 1}
								</th>
								{lead > 0 && <td aria-hidden="true" />}
								{shown.map(({index}) => (
									<BodyCell
										key={index}
										place={{row, column: index}}
										column={columns[index]}
										value={rows[row]?.[index] ?? null}
										selection={selection}
									/>
								))}
								{rest > 0 && <td aria-hidden="true" />}
							</tr>
						))}
						{below > 0 && <tr aria-hidden="true" style={{height: below}} />}
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

type HeadProps = {readonly column: Column | undefined; readonly index: number; readonly sort: Sort; readonly onSort: () => void};

function HeadCell({column, index, sort, onSort}: HeadProps) {
	if (!column) return null;
	const sorted = sort?.column === index ? (sort.descending ? 'descending' : 'ascending') : 'none';
	const end = column.look !== 'text';
	return (
		<th scope="col" aria-colindex={index + 2} aria-sort={sorted} className="border-line border-b bg-panel p-0 font-medium">
			<button
				type="button"
				tabIndex={-1}
				onClick={onSort}
				title={`${column.name} · sort the rows shown`}
				className={`flex h-full w-full flex-col justify-center px-2.5 hover:bg-hover ${end ? 'items-end' : 'items-start'}`}
			>
				<span className="max-w-full truncate">
					{column.name}
					{sorted !== 'none' && <span aria-hidden="true">{sorted === 'ascending' ? ' ↑' : ' ↓'}</span>}
				</span>
				<span className="font-normal text-2xs text-faint">{column.type}</span>
			</button>
		</th>
	);
}

type BodyProps = {
	readonly place: Place;
	readonly column: Column | undefined;
	readonly value: Cell;
	readonly selection: Selection | null;
};

function BodyCell({place, column, value, selection}: BodyProps) {
	if (!column) return null;
	const chosen = selection !== null && within(selection, place);
	const focused = selection?.focus.row === place.row && selection.focus.column === place.column;
	const look = chosen ? 'bg-soft' : 'group-hover:bg-hover';
	return (
		<td
			// biome-ignore lint/a11y/useSemanticElements: a cell of the grid above
			role="gridcell"
			id={`cell-${place.row}-${place.column}`}
			data-cell={`${place.row}:${place.column}`}
			aria-colindex={place.column + 2}
			aria-selected={chosen}
			className={`truncate border-line border-b px-2.5 ${column.look === 'text' ? '' : 'text-right'} ${look} ${focused ? 'outline-2 outline-accent -outline-offset-2' : ''}`}
		>
			{value === null ? <span className="text-faint text-2xs italic">null</span> : formatCell(value, column)}
		</td>
	);
}
