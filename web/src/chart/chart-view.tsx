import {useEffect, useRef, useState} from 'react';
import type {Result} from '#contract/api.ts';
import type {Chart} from '#contract/chart.ts';
import {Loading, Notice} from '../ui/notice.tsx';
import {useDark} from '../ui/theme.ts';
import {type ChartTheme, toVegaLite} from './to-vega-lite.ts';

/** The drawing, with its description for those who cannot see it. */
export function ChartView({chart, result}: {readonly chart: Chart; readonly result: Result}) {
	const frame = useRef<HTMLDivElement>(null);
	const [state, setState] = useState<'loading' | 'drawn' | Error>('loading');
	const dark = useDark();

	useEffect(() => {
		if (!frame.current) return;
		const element = frame.current;
		const drawing = startDrawing(element, () => toVegaLite(chart, result, themeOf(element, dark)));
		drawing.drawn.then(
			() => setState('drawn'),
			(error: unknown) => setState(error instanceof Error ? error : new Error('The chart could not be drawn.')),
		);
		return drawing.remove;
	}, [chart, result, dark]);

	return (
		<figure className="m-0">
			{state === 'loading' && <Loading label="Drawing the chart" />}
			{state instanceof Error && (
				<Notice tone="warn" title="This chart cannot be drawn from these rows.">
					<p className="text-muted">{state.message}</p>
				</Notice>
			)}
			{/* Its own element, because the library gives the one it draws into another role. */}
			<div role="img" aria-label={chart.description} className="overflow-x-auto" data-testid="chart">
				<div ref={frame} className="w-full" />
			</div>
			<figcaption className="mt-2 text-muted text-xs">{chart.description}</figcaption>
		</figure>
	);
}

type Drawing = {readonly drawn: Promise<void>; readonly remove: () => void};

/** Loads what draws, then draws; whichever of the two is under way when it is removed leaves nothing behind. */
function startDrawing(element: HTMLElement, spec: () => object): Drawing {
	const state = {over: false, finalize: () => {}};
	const start = async () => {
		const {draw} = await import('./draw.ts');
		if (state.over) return;
		state.finalize = await draw(element, spec());
		if (state.over) state.finalize();
	};
	const remove = () => {
		state.over = true;
		state.finalize();
		element.replaceChildren();
	};
	return {drawn: start(), remove};
}

function themeOf(element: HTMLElement, dark: boolean): ChartTheme {
	const probe = document.createElement('span');
	element.append(probe);
	const resolve = (name: string) => {
		probe.style.color = `var(--${name})`;
		return getComputedStyle(probe).color;
	};
	const theme = {fg: resolve('fg'), muted: resolve('muted'), line: resolve('line'), accent: resolve('accent'), dark};
	probe.remove();
	return theme;
}
