/** What a battery came to, as a table for people and a verdict for machines. */
import type {Battery, Result} from './battery.ts';
import {BENIGN} from './benign.ts';
import {type Case, CLASSES, WAYS} from './case.ts';

/** Of the attacks that can be tried without a sandbox, how many must succeed there. */
export const CONTROL_SHARE = 0.8;

const MORE = 'found since';

function classOf(id: string): string {
	return CLASSES[id[0] as keyof typeof CLASSES] ?? MORE;
}

/** One line for each class: contained, escaped and not applicable by provider, and succeeded of those tried without a sandbox. */
export function tabulate(batteries: readonly Battery[]): string {
	const heads = batteries.map(({provider}) => (provider === 'none' ? 'no sandbox' : provider));
	const lines = [...Object.values(CLASSES), MORE, 'benign twins'].map((name) => [
		name,
		...batteries.map((battery) => cell(battery, name)),
	]);
	const table = [['', ...heads], ...lines];
	const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
	return table
		.map((row) =>
			row
				.map((text, column) => text.padEnd(widths[column] ?? 0))
				.join('  ')
				.trimEnd(),
		)
		.join('\n');
}

function cell({provider, results}: Battery, name: string): string {
	if (name === 'benign twins') {
		const twins = results.filter(({way}) => way === 'benign');
		return twins.length === 0
			? '-'
			: `${count(twins, 'passed')} passed, ${count(twins, 'blocked')} blocked, ${count(twins, 'not-applicable')} n/a`;
	}
	const mine = results.filter(({id, way}) => way !== 'benign' && classOf(id) === name);
	const tried = mine.length - count(mine, 'not-applicable');
	if (provider === 'none') return `${count(mine, 'succeeded')} of ${tried} succeed`;
	return `${count(mine, 'contained')} contained, ${count(mine, 'escaped')} escaped, ${count(mine, 'not-applicable')} n/a`;
}

export function count(results: readonly Result[], verdict: Result['verdict']): number {
	return results.filter((result) => result.verdict === verdict).length;
}

/** Why the battery as a whole has failed; empty when it has not. */
export function failures(batteries: readonly Battery[], cases: readonly Case[], providers: readonly string[]): readonly string[] {
	const wanted = cases.length * WAYS.length;
	return [
		...providers.filter((name) => !batteries.some(({provider}) => provider === name)).map((name) => `${name} was not attacked`),
		...batteries.flatMap(({provider, results, leftovers}) => {
			const attacks = results.filter(({way}) => way !== 'benign');
			const twins = results.length - attacks.length;
			const own = provider === 'none' ? [] : twins === BENIGN.length ? [] : [`${twins} of ${BENIGN.length} benign twins ran`];
			return [
				...(attacks.length === wanted ? [] : [`${attacks.length} of ${wanted} attacks ran`]),
				...own,
				...leftovers.map((left) => `left behind: ${left}`),
				...(provider === 'none' ? controlFailure(attacks, cases) : offences(results)),
			].map((what) => `${provider}: ${what}`);
		}),
	];
}

function offences(results: readonly Result[]): readonly string[] {
	return results
		.filter(({verdict}) => verdict === 'escaped' || verdict === 'blocked')
		.map(({id, way, verdict, reasons}) => `${id} by ${way} ${verdict}: ${reasons.join('; ')}`);
}

function controlFailure(attacks: readonly Result[], cases: readonly Case[]): readonly string[] {
	const excused = new Set(cases.filter(({toothless}) => toothless !== undefined).map(({id}) => id));
	const tried = attacks.filter(({id, verdict}) => verdict !== 'not-applicable' && !excused.has(id));
	const share = count(tried, 'succeeded') / tried.length;
	return share >= CONTROL_SHARE
		? []
		: [`only ${Math.round(share * 100)} % of ${tried.length} attacks succeed without a sandbox: containing them proves little`];
}
