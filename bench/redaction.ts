/**
 * How much of what is secret redaction finds, how much of what is not it takes for one, and how long it takes over a megabyte.
 *   node bench/redaction.ts            prints the tables
 *   node bench/redaction.ts --json     one JSON document
 */
import {createRedactor} from '#evidence/redact.ts';
import {makeNegatives, makePositives, seeded} from './redaction-samples.ts';

export type Row = {readonly kind: string; readonly examined: number; readonly wrong: number; readonly example: string};

/** Secrets that are still there afterwards, by kind. */
export function measureRecall(each: number, seed: number): readonly Row[] {
	const redact = createRedactor([]);
	return tally(
		makePositives(each, seeded(seed)).map(({kind, secret, value}) => {
			const left = JSON.stringify(redact(value).value);
			const forms = [secret, JSON.stringify(secret).slice(1, -1)];
			return {kind, wrong: forms.some((form) => left.includes(form)), example: left};
		}),
	);
}

/** Texts without a secret that were changed, by kind. */
export function measureFalseAlarms(each: number, seed: number): readonly Row[] {
	const redact = createRedactor([]);
	return tally(
		makeNegatives(each, seeded(seed)).map(({kind, value}) => {
			const {count, value: left} = redact(value);
			return {kind, wrong: count > 0, example: JSON.stringify(left)};
		}),
	);
}

function tally(results: readonly {readonly kind: string; readonly wrong: boolean; readonly example: string}[]): readonly Row[] {
	return [...Map.groupBy(results, ({kind}) => kind)].map(([kind, group]) => {
		const wrong = group.filter((each) => each.wrong);
		return {kind, examined: group.length, wrong: wrong.length, example: wrong[0]?.example.slice(0, 200) ?? ''};
	});
}

/** Milliseconds for one megabyte, the best of several. */
function measureSpeed(): readonly {readonly text: string; readonly ms: number}[] {
	const redact = createRedactor(['one-secret-of-the-store', 'another-secret-of-it', 'the-third-of-them-all']);
	const negatives = Map.groupBy(makeNegatives(40, seeded(3)), ({kind}) => kind);
	return [...negatives].map(([text, samples]) => {
		const unit = samples.map(({value}) => (typeof value === 'string' ? value : JSON.stringify(value))).join('\n');
		const megabyte = unit.repeat(Math.ceil(1_000_000 / unit.length)).slice(0, 1_000_000);
		const times = Array.from({length: 7}, () => {
			const started = performance.now();
			redact(megabyte);
			return performance.now() - started;
		});
		return {text, ms: Math.round(Math.min(...times) * 10) / 10};
	});
}

function print(title: string, rows: readonly Row[]): void {
	const [examined, wrong] = [sum(rows.map((row) => row.examined)), sum(rows.map((row) => row.wrong))];
	process.stdout.write(`\n${title}: ${wrong} of ${examined}\n`);
	for (const {kind, examined: of, wrong: bad, example} of rows)
		process.stdout.write(`  ${kind.padEnd(34)} ${String(bad).padStart(5)} of ${of}${example === '' ? '' : `   ${example}`}\n`);
}

function sum(numbers: readonly number[]): number {
	return numbers.reduce((total, each) => total + each, 0);
}

if (import.meta.main) {
	const report = {missed: measureRecall(10, 1), falseAlarms: measureFalseAlarms(150, 2), speed: measureSpeed()};
	if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(report)}\n`);
	else {
		print('secrets that were missed', report.missed);
		print('texts that were changed though they hold none', report.falseAlarms);
		process.stdout.write('\nmilliseconds for a megabyte\n');
		for (const {text, ms} of report.speed) process.stdout.write(`  ${text.padEnd(34)} ${ms}\n`);
	}
}
