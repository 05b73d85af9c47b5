/** How soon a question is answered whose query would never end, under a limit of 4 s. */
import {startWrit, type Writ} from '../test/server.ts';
import {figure, report, timed} from './harness.ts';

const LIMIT_S = 4;
const TARGET_MS = 4_500;

const ENDLESS: Readonly<Record<string, {readonly query_type: 'sql' | 'python'; readonly code: string}>> = {
	'a cross join of 10¹² rows': {
		query_type: 'sql',
		code: 'SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3',
	},
	'an endless recursive query': {
		query_type: 'sql',
		code: 'WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t',
	},
	'huge strings': {
		query_type: 'sql',
		code: "SELECT sum(length(repeat('x', 200000000 + CAST(range AS INTEGER)))) FROM range(100000)",
	},
	'a Python loop': {query_type: 'python', code: 'while True:\n    pass'},
	'a Python loop in one call': {query_type: 'python', code: 'result = sum(range(10**15))'},
	'a Python program that ignores signals': {
		query_type: 'python',
		code: 'import signal\nfor n in range(1, 65):\n    try:\n        signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\nwhile True:\n    pass',
	},
};

await report(async (bench) => {
	const writ = await startWrit(bench, {env: {RUN_TIMEOUT_SECONDS: String(LIMIT_S), LOG_LEVEL: 'info'}});
	await writ.post('/runs', {dataset_id: 'support', query_type: 'python', python_code: 'result = 1'});
	const runs = bench.quick ? 1 : 5;
	const figures = [];
	for (const [name, {query_type, code}] of Object.entries(ENDLESS)) {
		const samples: number[] = [];
		const ends = new Set<string>();
		for (let run = 0; run < runs; run += 1) samples.push(await timed(async () => ends.add(await end(writ, query_type, code))));
		const what = `limit of ${LIMIT_S} s: ${name} (${[...ends].join(', ')})`;
		figures.push(figure({name: what, unit: 'ms', samples, target: {of: 'p99', atMost: TARGET_MS}}));
	}
	return figures;
});

/** How the run ended; anything that is not a limit's error is no measurement. */
async function end(writ: Writ, query_type: 'sql' | 'python', code: string): Promise<string> {
	const field = query_type === 'sql' ? 'sql' : 'python_code';
	const {body} = await writ.post<{result: {error: {type: string} | null}}>('/runs', {
		dataset_id: 'support',
		query_type,
		[field]: code,
	});
	const type = body.result?.error?.type;
	if (type !== 'RUNNER_TIMEOUT' && type !== 'RUNNER_RESOURCE_EXCEEDED') throw new Error(`not stopped: ${JSON.stringify(body)}`);
	return type.toLowerCase();
}
