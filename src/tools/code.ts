import {z} from 'zod';
import type {Json} from '#contract/json.ts';
import {type HostInjection, type Network, networkSchema} from '#contract/sandbox.ts';
import {cellSchema, truncationSchema} from '#contract/table.ts';
import type {Tool, World} from '#kernel/tool.ts';
import {collectedSchema} from '#sandbox/artifacts.ts';
import {mayMeet} from '#sandbox/egress/host-name.ts';
import {filesSchema} from './files.ts';
import {checkArtifacts, verdictOf, type Worked, type Working, working} from './work.ts';

export const codeInputSchema = z.strictObject({
	code: z.string().min(1).max(200_000),
	files: filesSchema.default([]).describe('files that it finds in /in, named by their hash'),
	artifacts: z.boolean().default(false).describe('whether files that it leaves in /out are kept'),
	network: networkSchema.optional().describe('the hosts that it may reach over HTTP, which policy must allow'),
});
export type CodeInput = z.infer<typeof codeInputSchema>;

const outputSchema = z
	.object({
		/** what it left as its result; null when it left none */
		value: cellSchema,
		/** of a script; null for a language whose programs have none */
		exitCode: z.int().nullable(),
		/** present when rows of a table were left out of `value` */
		truncated: truncationSchema.nullable(),
		/** numbers that are not finite, which are null in `value` */
		nonFinite: z.int(),
		stdout: z.string(),
		stderr: z.string(),
		execTimeMs: z.number(),
	})
	.extend(collectedSchema.shape);
export type CodeOutput = z.infer<typeof outputSchema>;

type CodeTool = Tool<CodeInput, CodeOutput>;

/** The part that all languages share. */
export function codeTool(room: Working, own: Pick<CodeTool, 'name' | 'title' | 'description' | 'run'>): CodeTool {
	return {
		...working(room),
		...own,
		version: '2',
		idempotent: false, // with a network, running it twice may do something twice
		input: codeInputSchema as z.ZodType<CodeInput>,
		output: outputSchema as z.ZodType<CodeOutput>,
		risk: ({network = 'none'}) => (network === 'none' ? 'medium' : 'high'),
		destinations: ({network = 'none'}) => (network === 'none' ? [] : network.allow.map(({host}) => host)),
		preview: ({code, files, network = 'none'}) =>
			[code, ...files.map(({name, sha256}) => `/in/${name} ${sha256}`), ...previewNetwork(network, room)].join('\n'),
		// An approval covers the secrets that go out with it, which the input does not name.
		fingerprint: async ({network = 'none'}) => JSON.stringify(injectionsOf(network, room)),
		verify: (_input, output, world) => verify(output, world, room),
	};
}

/** Every rule, as a rule may send a secret. */
function previewNetwork(network: Network, room: Working): string[] {
	if (network === 'none') return [];
	return [
		`network, ${network.maxBytes} bytes`,
		...network.allow.map((rule) => JSON.stringify(rule)),
		...injectionsOf(network, room).map(({host, header, secret}) => `requests to ${host} get the secret ${secret} in ${header}`),
	];
}

function injectionsOf(network: Network, {injections = []}: Working): readonly HostInjection[] {
	if (network === 'none') return [];
	return injections.filter(({host}) => network.allow.some((rule) => mayMeet(rule.host, host)));
}

export function toOutput(value: Json, {done, collected, execTimeMs}: Worked): CodeOutput {
	const {exitCode = null, truncated, nonFinite, stdout = '', stderr = ''} = done;
	return {value, exitCode, truncated, nonFinite, stdout, stderr, execTimeMs, ...collected};
}

/** Brackets, commas and names, which runners count in their own way. */
const SLACK = 2;

async function verify(output: CodeOutput, world: World, room: Working) {
	const bytes = Buffer.byteLength(JSON.stringify(output.value));
	const size = {
		name: 'size',
		passed: bytes <= room.maxBytes * SLACK,
		detail: `${bytes} bytes of result, of at most ${room.maxBytes}`,
	};
	return verdictOf([size, await checkArtifacts(output, world, room)]);
}
