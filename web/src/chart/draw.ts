/** The chart library: loaded when a chart is first looked at. Expressions are interpreted, so the page needs no `unsafe-eval`. */
import {parse, View} from 'vega';
import {expressionInterpreter} from 'vega-interpreter';
import {compile, type TopLevelSpec} from 'vega-lite';

const NO_ADDRESSES = 'charts read no addresses';

/** Draws into `element`; the returned function removes it. */
export async function draw(element: HTMLElement, spec: object): Promise<() => void> {
	const quiet = {level: () => quiet, error: () => quiet, warn: () => quiet, info: () => quiet, debug: () => quiet};
	const {spec: compiled} = compile(spec as TopLevelSpec, {logger: quiet as never});
	const refuse = () => Promise.reject(new Error(NO_ADDRESSES));
	const view = new View(parse(compiled, undefined, {ast: true}), {
		expr: expressionInterpreter,
		renderer: 'svg',
		container: element,
		hover: true,
		logger: quiet as never,
		loader: {load: refuse, sanitize: refuse, http: refuse, file: refuse} as never,
	} as never);
	await view.runAsync();
	return () => view.finalize();
}
