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
		const element = frame.current;
		if (!element) return;
		const drawing = {over: false, remove: () => {}};
		const start = async () => {
			try {
				const {draw} = await import('./draw.ts');
				if (drawing.over) return;
				const remove = await draw(element, toVegaLite(chart, result, themeOf(element, dark)));
				if (drawing.over) return remove();
				drawing.remove = remove;
				setState('drawn');
			} catch (error) {
				if (!drawing.over) setState(error instanceof Error ? error : new Error('The chart could not be drawn.'));
			}
		};
		void start();
		return () => {
			drawing.over = true;
			drawing.remove();
			element.replaceChildren();
		};
	}, [chart, result, dark]);

	return (
		<figure className="m-0">
			{state === 'loading' && <Loading label="Drawing the chart" />}
			{state instanceof Error && (
				<Notice tone="warn" title="This chart cannot be drawn from these rows.">
					<p className="text-muted">{state.message}</p>
				</Notice>
			)}
			<div ref={frame} role="img" aria-label={chart.description} className="w-full overflow-x-auto" data-testid="chart" />
			<figcaption className="mt-2 text-muted text-xs">{chart.description}</figcaption>
		</figure>
	);
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
