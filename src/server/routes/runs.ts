import {open, rm} from 'node:fs/promises';
import {dirname} from 'node:path';
import {Readable} from 'node:stream';
import {createRoute, z} from '@hono/zod-openapi';
import type {ExportedFile} from '#analyst/analyst.ts';
import {
	capsuleSchema,
	chatResponseSchema,
	runStatusReplySchema,
	runsQuerySchema,
	runsReplySchema,
	verificationSchema,
} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {type AppContext, callerOf, createRouter, jsonReply} from '../context.ts';
import {ownRun, toRunSummary} from '../shapes.ts';
import {finishTurn, startTurn, type TurnContext} from './chat.ts';

const params = z.object({run_id: z.string().min(1).max(200)});
const file = (description: string) => ({
	description,
	content: {'application/octet-stream': {schema: z.string().meta({format: 'binary'})}},
});
const route = {tags: ['runs'], request: {params}};

const list = createRoute({
	...route,
	method: 'get',
	path: '/runs',
	operationId: 'listRuns',
	summary: 'Runs, newest first, a page at a time',
	request: {query: runsQuerySchema},
	responses: {200: jsonReply(runsReplySchema, 'a page; `next_cursor` asks for the next')},
});
const show = createRoute({
	...route,
	method: 'get',
	path: '/runs/{run_id}',
	operationId: 'showRun',
	summary: 'All that is kept of a run',
	responses: {200: jsonReply(capsuleSchema, 'the capsule')},
});
const status = createRoute({
	...route,
	method: 'get',
	path: '/runs/{run_id}/status',
	operationId: 'runStatus',
	summary: 'Only its status',
	responses: {200: jsonReply(runStatusReplySchema, 'the status')},
});
const rerun = createRoute({
	...route,
	method: 'post',
	path: '/runs/{run_id}/rerun',
	operationId: 'rerun',
	summary: 'The same question or code again, on the present data, as a new run',
	responses: {200: jsonReply(chatResponseSchema, 'the answer of the new run')},
});
const cancel = createRoute({
	...route,
	method: 'post',
	path: '/runs/{run_id}/cancel',
	operationId: 'cancelRun',
	summary: 'Stop a run; one that has ended stays as it is',
	responses: {200: jsonReply(runStatusReplySchema, 'its status when it had stopped')},
});
const exported = createRoute({
	...route,
	method: 'get',
	path: '/runs/{run_id}/export',
	operationId: 'exportRun',
	summary: 'The full result of a run as a file, computed again in a sandbox',
	request: {params, query: z.object({format: z.enum(['csv', 'xlsx', 'parquet', 'json']).default('csv')})},
	responses: {200: file('the file; `etag` is its SHA-256')},
});
const evidence = createRoute({
	...route,
	method: 'get',
	path: '/runs/{run_id}/evidence',
	operationId: 'packEvidence',
	summary: 'The evidence of a run as one file for `writ evidence verify`',
	request: {params, query: z.object({format: z.enum(['capsule', 'bundle']).default('capsule')})},
	responses: {200: file('the file')},
});
const verify = createRoute({
	...route,
	method: 'post',
	path: '/runs/{run_id}/verify',
	operationId: 'verifyRun',
	summary: 'Check the evidence of a run',
	responses: {200: jsonReply(verificationSchema, 'what was checked, and what it showed')},
});

export function runRoutes({deps, turns}: TurnContext) {
	const {analyst, store} = deps;
	const own = async (c: AppContext, runId: string) => {
		c.set('runId', runId);
		return ownRun(store, c.get('principal').tenant, runId);
	};
	return createRouter()
		.openapi(list, async (c) => {
			const {dataset_id, thread_id, limit, ...rest} = c.req.valid('query');
			const filter = {
				job: 'analyst',
				...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
				...(dataset_id && {datasetId: dataset_id}),
				...(thread_id && {threadId: thread_id}),
			};
			const {tenant} = c.get('principal');
			const page = await store.runs({...filter, tenant, limit});
			return c.json({runs: page.rows.map(toRunSummary), next_cursor: page.next}, 200);
		})
		.openapi(show, async (c) => {
			const {runId, tenant} = await own(c, c.req.valid('param').run_id);
			return c.json(await analyst.capsule(tenant, runId), 200);
		})
		.openapi(status, async (c) => {
			const row = await own(c, c.req.valid('param').run_id);
			return c.json({run_id: row.runId, status: row.status}, 200);
		})
		.openapi(rerun, async (c) => {
			const {runId} = await own(c, c.req.valid('param').run_id);
			const turn = startTurn(c, turns, (caller) => analyst.rerun(runId, caller));
			return c.json(await finishTurn(c, turn), 200);
		})
		.openapi(cancel, async (c) => {
			const row = await own(c, c.req.valid('param').run_id);
			if (row.finishedAt !== null) return c.json({run_id: row.runId, status: row.status}, 200);
			const turn = turns.find(row.runId);
			if (!turn) throw notHere(row.status);
			turn.cancel();
			const {status} = await turn.finished;
			return c.json({run_id: row.runId, status}, 200);
		})
		.openapi(exported, async (c) => {
			const {runId} = await own(c, c.req.valid('param').run_id);
			const {format} = c.req.valid('query');
			const file = await turns.occupy(c.req.raw.signal, (signal) => analyst.export(runId, format, {...callerOf(c), signal}));
			return (await sendFile(file, c.req.raw)) as never;
		})
		.openapi(evidence, async (c) => {
			const {runId} = await own(c, c.req.valid('param').run_id);
			const {name, mediaType, body} = await deps.evidence.pack(runId, c.req.valid('query').format);
			return c.body(body, 200, {'content-type': mediaType, ...attachment(name)}) as never;
		})
		.openapi(verify, async (c) => {
			const {runId} = await own(c, c.req.valid('param').run_id);
			return c.json(await deps.evidence.verify(runId), 200);
		});
}

function notHere(status: string): WritError {
	const hint =
		status === 'awaiting_approval'
			? 'reject its approval instead'
			: 'it belongs to another process, or to one that has ended; its time limit will end it';
	return new WritError('conflict', `the run is ${status} and not in progress here`, {hint});
}

/** INVARIANT: the file has no name any more when its first byte leaves, so nothing is left behind however the client behaves. */
async function sendFile(
	{path, name, mediaType, bytes, sha256, runId, truncated}: ExportedFile,
	request: Request,
): Promise<Response> {
	const file = await open(path, 'r');
	await rm(dirname(path), {recursive: true, force: true});
	const headers = {
		'content-type': mediaType,
		'content-length': String(bytes),
		etag: `"${sha256}"`,
		'x-writ-run-id': runId,
		'x-writ-truncated': String(truncated),
		...attachment(name),
	};
	if (request.method === 'HEAD' || request.signal.aborted) {
		await file.close();
		return new Response(null, {headers});
	}
	const stream = file.createReadStream();
	request.signal.addEventListener('abort', () => stream.destroy(), {once: true});
	return new Response(Readable.toWeb(stream) as ReadableStream<Uint8Array>, {headers});
}

function attachment(name: string) {
	const plain = name.replace(/[^\w.-]/g, '_');
	return {'content-disposition': `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(name)}`};
}
