import {hash} from 'node:crypto';
import {Readable} from 'node:stream';
import {createRoute, z} from '@hono/zod-openapi';
import {codeRequestSchema, type GivenFile, testsRequestSchema, workReplySchema} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {toWorkReply} from '#tools/reply.ts';
import {type AppContext, createRouter, jsonReply} from '../context.ts';
import type {ServerDeps} from '../deps.ts';
import {ownRun} from '../shapes.ts';
import {finishTurn, startTurn, type TurnContext} from './chat.ts';

const tags = ['code'];
const body = <T extends z.ZodType>(schema: T) => ({body: {content: {'application/json': {schema}}, required: true}});
const params = z.object({run_id: z.string().min(1).max(200)});

const code = createRoute({
	method: 'post',
	path: '/api/v1/code',
	operationId: 'runCode',
	tags,
	summary: 'Run a program in a sandbox, without a network unless policy opens one; the tools it calls are judged one by one',
	request: body(codeRequestSchema),
	responses: {200: jsonReply(workReplySchema, 'what became of it; a program that failed or was refused says so in `status`')},
});
const tests = createRoute({
	method: 'post',
	path: '/api/v1/tests',
	operationId: 'runTests',
	tags,
	summary: 'Run test files in a sandbox without a network and return each case as its framework reported it',
	request: body(testsRequestSchema),
	responses: {200: jsonReply(workReplySchema, 'what became of it; a suite with failures has succeeded as a run')},
});
const show = createRoute({
	method: 'get',
	path: '/api/v1/code/{run_id}',
	operationId: 'showWork',
	tags,
	summary: 'What became of a program or a test run',
	request: {params},
	responses: {200: jsonReply(workReplySchema, 'the run as far as it is')},
});
const artifact = createRoute({
	method: 'get',
	path: '/api/v1/code/{run_id}/artifacts/{sha256}',
	operationId: 'downloadArtifact',
	tags,
	summary: 'A file that a program or a test run left in /out',
	request: {params: params.extend({sha256: z.string().regex(/^[0-9a-f]{64}$/)})},
	responses: {
		200: {
			description: 'its bytes',
			content: {'application/octet-stream': {schema: z.string().openapi({type: 'string', format: 'binary'})}},
		},
	},
});

/** What a code request's language is as a tool. */
const LANGUAGES = {javascript: 'code.javascript', python: 'code.python', shell: 'code.shell'} as const;

export function codeRoutes(context: TurnContext) {
	const {deps} = context;
	return createRouter()
		.openapi(code, async (c) => {
			const {language, files, scope, ...input} = c.req.valid('json');
			const task = {tool: LANGUAGES[language], mode: language, input, ...(scope && {scope})};
			return c.json(await performWith(files, task, c, context), 200);
		})
		.openapi(tests, async (c) => {
			const {files, ...input} = c.req.valid('json');
			return c.json(await performWith(files, {tool: 'tests.run', mode: 'tests', input}, c, context), 200);
		})
		.openapi(show, async (c) => c.json(await replyOf(c.req.valid('param').run_id, c, deps), 200))
		.openapi(artifact, async (c) => {
			const {run_id, sha256} = c.req.valid('param');
			const {output} = await replyOf(run_id, c, deps);
			const {artifacts = []} = (output ?? {}) as {artifacts?: {sha256: string; bytes: number}[]};
			const found = artifacts.find((each) => each.sha256 === sha256);
			if (!found) throw new WritError('not_found', `run \`${run_id}\` left no such file`);
			const file = await deps.files.open(c.get('principal').tenant, sha256);
			// INVARIANT: never shown as what it claims to be: a page of ours must not run what a sandbox wrote.
			const headers = {
				'content-type': 'application/octet-stream',
				'content-length': String(found.bytes),
				'content-disposition': 'attachment',
				etag: `"${sha256}"`,
			};
			return new Response(Readable.toWeb(file.createReadStream()) as ReadableStream<Uint8Array>, {headers}) as never;
		});
}

type Task = Parameters<ServerDeps['analyst']['perform']>[0];

/** Runs one tool on files that came with the request, which the proposal names by their hashes. What no run may read is not kept. */
async function performWith(given: readonly GivenFile[], task: Task, c: AppContext, context: TurnContext) {
	const files = given.map(({name, content, encoding}) => {
		const bytes = Buffer.from(content, encoding);
		return {name, sha256: hash('sha256', bytes, 'hex'), bytes};
	});
	const named = {...task, input: {...task.input, files: files.map(({name, sha256}) => ({name, sha256}))}};
	const isRefused = files.length > 0 && (await isDenied(named, c, context.deps));
	await using unnamed = new AsyncDisposableStack();
	for (const file of isRefused ? [] : files) await keep(file, unnamed, c, context.deps);
	return await perform(named, c, context); // nothing is given back before
}

/** Whether it would be refused as it is now. What is wrong with it says whoever runs it. */
async function isDenied({tool, input}: Task, c: AppContext, {policies}: ServerDeps): Promise<boolean> {
	const explained = await policies.explain({tool, input}, c.get('principal')).catch((error: unknown) => {
		if (error instanceof WritError) return null;
		throw error;
	});
	return explained?.now?.effect !== 'allow' && explained?.now?.effect !== 'ask';
}

/** Keeps one file. Where it is new and no run has named it when `unnamed` is disposed of, it is given back. */
async function keep(
	{sha256, bytes}: {readonly sha256: string; readonly bytes: Buffer},
	unnamed: AsyncDisposableStack,
	c: AppContext,
	{files, store}: ServerDeps,
): Promise<void> {
	const {tenant} = c.get('principal');
	const known = await files.open(tenant, sha256).catch(() => null);
	await known?.close();
	await files.put(tenant, bytes);
	if (known !== null) return;
	unnamed.defer(async () => {
		if (!(await store.retention.isCited(tenant, sha256))) await files.erase(tenant, sha256);
	});
}

/** Runs one tool as a run of its own, and says what became of it. */
export async function perform(task: Task, c: AppContext, {deps, turns}: TurnContext) {
	const turn = startTurn(c, turns, (caller) => deps.analyst.perform(task, caller));
	return replyOf((await finishTurn(c, turn)).run_id, c, deps);
}

async function replyOf(runId: string, c: AppContext, {store}: ServerDeps) {
	const {status} = await ownRun(store, c.get('principal').tenant, runId);
	c.set('runId', runId);
	return toWorkReply(await store.read(runId), status);
}
