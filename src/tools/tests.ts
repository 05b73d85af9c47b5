import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import {type TestCase, testCaseSchema, testFrameworkSchema} from '#contract/sandbox.ts';
import type {Tool} from '#kernel/tool.ts';
import {collectedSchema} from '#sandbox/artifacts.ts';
import {filesSchema} from './files.ts';
import {checkArtifacts, verdictOf, type Working, work, working} from './work.ts';

const inputSchema = z.strictObject({
	framework: testFrameworkSchema,
	files: filesSchema.describe('the tests and what they need, named by their hash; they are found in /in'),
	paths: z.array(z.string().min(1).max(1_024)).max(100).default([]).describe('which of the files to run; all, unless stated'),
});
type Input = z.infer<typeof inputSchema>;

const countsSchema = z.object({total: z.int(), passed: z.int(), failed: z.int(), skipped: z.int(), error: z.int()});

const outputSchema = z
	.object({
		framework: testFrameworkSchema,
		/** of the framework itself */
		exitCode: z.int(),
		counts: countsSchema,
		/** as the framework reported them, in that order */
		cases: z.array(testCaseSchema),
		stdout: z.string(),
		stderr: z.string(),
		execTimeMs: z.number(),
	})
	.extend(collectedSchema.shape);
type Output = z.infer<typeof outputSchema>;

/** Runs a test suite. A suite with failures has been run: that is its result, not a failure of the tool. */
export function createTestsTool(room: Working): Tool<Input, Output> {
	return {
		...working(room),
		name: 'tests.run',
		version: '1',
		title: 'Run tests',
		description:
			'Runs tests with pytest, node:test, vitest or Playwright in a sandbox without a network and returns each case as the framework reported it. A run that collects nothing fails.',
		input: inputSchema as z.ZodType<Input>,
		output: outputSchema as z.ZodType<Output>,
		preview: ({framework, files, paths}) =>
			[`${framework} ${paths.join(' ')}`.trim(), ...files.map(({name, sha256}) => `/in/${name} ${sha256}`)].join('\n'),
		async run({framework, files, paths}, world) {
			const request = {kind: 'tests', framework, paths, maxBytes: room.maxBytes} as const;
			const spec = {runner: 'tests', framework} as const;
			const worked = await work({files, artifacts: true, request: {...request, paths: [...paths]}, spec}, world, room);
			const {exitCode, stdout = '', stderr = ''} = worked.done;
			const cases = worked.frames.flatMap((frame) => (frame.type === 'case' ? [frame.case] : []));
			if (exitCode === undefined || cases.length === 0)
				throw new WritError('nothing_tested', `${framework} reported no tests: a check that examined nothing has failed`);
			const {execTimeMs, collected} = worked;
			return {framework, exitCode, counts: countOf(cases), cases, stdout, stderr, execTimeMs, ...collected};
		},
		async verify({framework}, output, world) {
			const {counts, exitCode, cases} = output;
			const bad = counts.failed + counts.error;
			const checks = [
				{
					name: 'counts',
					passed: JSON.stringify(counts) === JSON.stringify(countOf(cases)) && counts.total > 0,
					detail: `${counts.total} cases: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped, ${counts.error} in error`,
				},
				{
					name: 'exit code',
					passed: (exitCode === 0) === (bad === 0),
					detail: `${framework} ended with ${exitCode}, and ${bad} cases did not pass`,
				},
			];
			return verdictOf([...checks, await checkArtifacts(output, world, room)]);
		},
	};
}

function countOf(cases: readonly TestCase[]): z.infer<typeof countsSchema> {
	const count = (status: TestCase['status']) => cases.filter((each) => each.status === status).length;
	const [passed, failed, skipped, error] = [count('passed'), count('failed'), count('skipped'), count('error')];
	return {total: cases.length, passed, failed, skipped, error};
}
