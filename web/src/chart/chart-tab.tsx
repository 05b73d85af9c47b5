import {useMemo, useState} from 'react';
import type {ChatResponse} from '#contract/api.ts';
import type {Chart} from '#contract/chart.ts';
import {isNumeric} from '../result/cells.ts';
import {ResultTable} from '../result/table.tsx';
import {Button, FIELD} from '../ui/button.tsx';
import {Empty} from '../ui/notice.tsx';
import {ChartView} from './chart-view.tsx';
import {MARKS, type Problem, parseChart} from './parse-chart.ts';

/** A chart over the rows at hand, which the reader may change without running anything; the rows stay beside it. */
export function ChartTab({response}: {readonly response: ChatResponse}) {
	const {result, details} = response;
	const proposed = useMemo(() => details.chart ?? suggest(response), [details.chart, response]);
	const [edited, setEdited] = useState<Chart | null>(null);
	const chart = edited ?? proposed;
	if (!chart || result.rows.length === 0) {
		return <Empty title="Nothing to draw">A chart needs a result with rows and a column to measure.</Empty>;
	}
	return (
		<div className="@container h-full min-h-0">
			<div className="grid h-full min-h-0 grid-rows-[auto_auto_auto] content-start overflow-auto @4xl:grid-cols-[minmax(0,1fr)_minmax(220px,36%)] @4xl:content-stretch @4xl:grid-rows-[auto_minmax(0,1fr)]">
				<ChartControls
					chart={chart}
					columns={result.columns}
					onChange={setEdited}
					{...(edited ? {onReset: () => setEdited(null)} : {})}
				/>
				<div className="min-w-0 p-4 @4xl:min-h-0 @4xl:overflow-auto">
					<ChartView chart={chart} result={result} />
					<SpecEditor key={JSON.stringify(chart)} chart={chart} columns={result.columns} onChange={setEdited} />
				</div>
				<section
					aria-label="Rows of the chart"
					className="h-72 min-h-0 border-line border-t @4xl:h-auto @4xl:border-t-0 @4xl:border-l"
				>
					<ResultTable result={result} label="Rows of the chart" />
				</section>
			</div>
		</div>
	);
}

type ControlsProps = {
	readonly chart: Chart;
	readonly columns: readonly string[];
	readonly onChange: (chart: Chart) => void;
	readonly onReset?: () => void;
};

function ChartControls({chart, columns, onChange, onReset}: ControlsProps) {
	const {encoding} = chart;
	const place = (channel: 'x' | 'y' | 'color', field: string) => {
		const {[channel]: before, ...others} = encoding;
		if (field === '') return onChange({...chart, encoding: others});
		const {field: _, aggregate, ...kept} = before ?? {};
		const next = {...kept, ...(aggregate === 'count' ? {} : aggregate && {aggregate}), field};
		onChange({...chart, encoding: {...encoding, [channel]: before?.field === undefined ? {field} : next}});
	};
	return (
		<div className="flex flex-wrap items-end gap-3 border-line border-b px-4 py-2 @4xl:col-span-2">
			<Choice
				label="Mark"
				value={chart.mark}
				options={MARKS}
				onChange={(mark) => onChange({...chart, mark: mark as Chart['mark']})}
			/>
			{(['x', 'y', 'color'] as const).map((channel) => (
				<Choice
					key={channel}
					label={channel === 'color' ? 'Colour' : channel.toUpperCase()}
					value={encoding[channel]?.field ?? ''}
					options={['', ...columns]}
					onChange={(field) => place(channel, field)}
				/>
			))}
			{onReset && (
				<Button look="quiet" onClick={onReset}>
					Reset
				</Button>
			)}
		</div>
	);
}

type ChoiceProps = {
	readonly label: string;
	readonly value: string;
	readonly options: readonly string[];
	readonly onChange: (value: string) => void;
};

function Choice({label, value, options, onChange}: ChoiceProps) {
	return (
		<label className="flex min-w-0 items-center gap-1.5 text-muted text-xs">
			{label}
			<select className={`${FIELD} max-w-36`} value={value} onChange={(event) => onChange(event.target.value)}>
				{options.map((option) => (
					<option key={option} value={option}>
						{option === '' ? '–' : option}
					</option>
				))}
			</select>
		</label>
	);
}

type EditorProps = {readonly chart: Chart; readonly columns: readonly string[]; readonly onChange: (chart: Chart) => void};

function SpecEditor({chart, columns, onChange}: EditorProps) {
	const [source, setSource] = useState(() => JSON.stringify(chart, null, 2));
	const [problems, setProblems] = useState<readonly Problem[]>([]);
	const apply = () => {
		const parsed = read(source, columns);
		if ('problems' in parsed) setProblems(parsed.problems);
		else onChange(parsed.chart);
	};
	return (
		<details className="mt-4 rounded-md border border-line">
			<summary className="rounded-md px-3 py-1.5 text-muted text-xs hover:bg-hover">Edit as JSON</summary>
			<div className="flex flex-col gap-2 border-line border-t p-3">
				<label className="sr-only" htmlFor="chart-spec">
					Chart as JSON
				</label>
				<textarea
					id="chart-spec"
					className="h-52 resize-y rounded-md border border-control bg-bg p-2 font-mono text-xs"
					value={source}
					spellCheck={false}
					onChange={(event) => setSource(event.target.value)}
				/>
				{problems.length > 0 && (
					<ul role="alert" className="list-disc pl-5 text-bad text-xs">
						{problems.map(({path, message}) => (
							<li key={path + message}>
								<code className="font-mono">{path || 'the chart'}</code> {message}
							</li>
						))}
					</ul>
				)}
				<div className="flex items-center gap-3">
					<Button onClick={apply}>Apply</Button>
					<p className="text-muted text-xs">Marks and encodings over the columns; no data addresses, no expressions.</p>
				</div>
			</div>
		</details>
	);
}

function read(source: string, columns: readonly string[]) {
	try {
		return parseChart(JSON.parse(source), columns);
	} catch (error) {
		return {problems: [{path: '', message: `is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`}]};
	}
}

/** A first chart where the server offered none, so that there is something to change. */
function suggest({result}: ChatResponse): Chart | null {
	const measure = result.columns.findLast((_, index) => isNumeric(result.column_types[index] ?? 'text'));
	const by = result.columns.find((name) => name !== measure);
	if (measure === undefined || by === undefined || result.rows.length > 1_000) return null;
	return {
		mark: 'bar',
		description: `Bar chart of ${measure} by ${by}; ${result.rows.length} rows.`,
		encoding: {x: {field: measure, type: 'quantitative'}, y: {field: by, type: 'nominal', sort: null}},
	};
}
