import {useState} from 'react';
import type {DatasetSchemaReply} from '#contract/api.ts';
import {type Cell, columnsOf, formatCell} from '../result/cells.ts';
import {Button} from '../ui/button.tsx';
import {formatCount} from '../ui/time.ts';

type Schema = DatasetSchemaReply['files'][number]['schema'];
type ColumnFacts = Schema[string];

const AT_FIRST = 60;

/** What profiling learned of every column, computed over all rows. */
export function Profile({schema, rows, label}: {readonly schema: Schema; readonly rows: number; readonly label: string}) {
	const all = Object.entries(schema);
	const [most, setMost] = useState(AT_FIRST);
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
		<section aria-label={label} tabIndex={0} className="overflow-x-auto outline-offset-[-2px]">
			<table className="w-full min-w-[720px] table-fixed text-left text-xs">
				<colgroup>
					<col className="w-[21%]" />
					<col className="w-[13%]" />
					<col className="w-[13%]" />
					<col className="w-[9%]" />
					<col className="w-[23%]" />
					<col />
				</colgroup>
				<thead className="bg-panel text-2xs text-muted">
					<tr>
						{['Column', 'Type', 'Empty', 'Distinct', 'Range', 'Most frequent'].map((head) => (
							<th key={head} scope="col" className={`px-3 py-1.5 font-medium ${head === 'Distinct' ? 'text-right' : ''}`}>
								{head}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{all.slice(0, most).map(([name, facts]) => (
						<Line key={name} name={name} facts={facts} rows={rows} />
					))}
				</tbody>
			</table>
			{all.length > most && (
				<div className="border-line border-t p-2">
					<Button look="quiet" onClick={() => setMost(most + 500)}>
						Show more of {formatCount(all.length)} columns
					</Button>
				</div>
			)}
		</section>
	);
}

function Line({name, facts, rows}: {readonly name: string; readonly facts: ColumnFacts; readonly rows: number}) {
	const {type, description, unit, nulls, distinct, min, max} = facts;
	const show = (value: Cell) => formatValue(name, facts, value);
	return (
		<tr className="border-line border-t align-top">
			<th scope="row" className="px-3 py-1.5 font-normal">
				<span className="font-mono">{name}</span>
				{(description || unit) && (
					<span className="block text-2xs text-muted">{[description, unit && `(${unit})`].filter(Boolean).join(' ')}</span>
				)}
			</th>
			<td className="px-3 py-1.5 font-mono text-2xs text-muted leading-4">{type}</td>
			<td className="px-3 py-1.5">
				<Nulls count={nulls} rows={rows} />
			</td>
			<td className="px-3 py-1.5 text-right">{distinct === null ? <NotShown /> : formatCount(distinct)}</td>
			<td className="px-3 py-1.5 text-muted">
				{min === null ? (
					''
				) : (
					<span className="block truncate" title={show(min)}>
						{show(min)}
					</span>
				)}
				{max === null || max === min ? (
					''
				) : (
					<span className="block truncate" title={show(max)}>
						{show(max)}
					</span>
				)}
			</td>
			<td className="px-3 py-1.5">
				<TopValues name={name} facts={facts} rows={rows} />
			</td>
		</tr>
	);
}

function Nulls({count, rows}: {readonly count: number | null; readonly rows: number}) {
	if (count === null) return <NotShown />;
	return count === 0 ? <span className="text-faint">none</span> : <Share part={count} of={rows} />;
}

function NotShown() {
	return <span className="text-faint">not shown</span>;
}

function Share({part, of}: {readonly part: number; readonly of: number}) {
	const share = of === 0 ? 0 : part / of;
	const text = share < 0.001 ? '<0.1 %' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
	return (
		<span title={`${formatCount(part)} of ${formatCount(of)}`} className="flex items-center gap-2 whitespace-nowrap">
			<span className="h-1.5 w-8 rounded-sm bg-hover" aria-hidden="true">
				<span className="block h-full rounded-sm bg-control" style={{width: `${Math.max(2, share * 100)}%`}} />
			</span>
			{text}
		</span>
	);
}

function TopValues({name, facts, rows}: {readonly name: string; readonly facts: ColumnFacts; readonly rows: number}) {
	const {distinct} = facts;
	if (distinct === null) return <NotShown />;
	const first = (facts.values ?? []).slice(0, 3);
	if (first.length === 0) return <span className="text-faint">many</span>;
	return (
		<ul>
			{first.map(({value, count}) => (
				<li key={JSON.stringify(value)} className="relative flex items-center justify-between gap-2 px-1">
					<span
						className="absolute inset-y-px left-0 rounded-sm bg-soft"
						style={{width: `${(count / Math.max(1, rows)) * 100}%`}}
						aria-hidden="true"
					/>
					<span className="relative truncate">
						{value === null ? <em className="text-faint">null</em> : formatValue(name, facts, value)}
					</span>
					<span className="relative text-2xs text-muted">{formatCount(count)}</span>
				</li>
			))}
			{distinct > first.length && <li className="px-1 text-2xs text-faint">{formatCount(distinct - first.length)} more</li>}
		</ul>
	);
}

function formatValue(name: string, {wire_type}: ColumnFacts, value: Cell): string {
	const [column] = columnsOf({columns: [name], column_types: [wire_type]});
	return value === null || !column ? '' : formatCell(value, column);
}
