import {randomUUID} from 'node:crypto';
import {stat} from 'node:fs/promises';
import {basename, isAbsolute} from 'node:path';
import {createRoute, z} from '@hono/zod-openapi';
import type {UploadedFile} from '#analyst/analyst.ts';
import {addSamples} from '#analyst/samples/add-samples.ts';
import {
	datasetByPathSchema,
	datasetSchemaReplySchema,
	datasetSummarySchema,
	datasetsReplySchema,
	samplesReplySchema,
	workReplySchema,
} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {type AppContext, callerOf, createRouter, jsonReply} from '../context.ts';
import {isLoopback} from '../guard.ts';
import {toDatasetSchema, toDatasetSummary} from '../shapes.ts';
import {displayName, receiveUpload, type Upload} from '../upload.ts';
import type {TurnContext} from './chat.ts';
import {perform} from './code.ts';

const list = createRoute({
	method: 'get',
	path: '/datasets',
	operationId: 'listDatasets',
	tags: ['datasets'],
	summary: 'The datasets there are, with questions to begin with',
	responses: {200: jsonReply(datasetsReplySchema, 'all datasets')},
});

const schema = createRoute({
	method: 'get',
	path: '/datasets/{dataset_id}/schema',
	operationId: 'describeDataset',
	tags: ['datasets'],
	summary: 'Every column of a dataset, with what profiling learned and three sample rows, as far as the caller may read them',
	request: {params: z.object({dataset_id: z.string().max(63)})},
	responses: {200: jsonReply(datasetSchemaReplySchema, 'the dataset')},
});

const add = createRoute({
	method: 'post',
	path: '/datasets',
	operationId: 'addDataset',
	tags: ['datasets'],
	summary: 'Add CSV, TSV, Parquet, JSON or XLSX files as a dataset',
	description:
		'Either `multipart/form-data` with one part for each file and the optional fields `id`, `name` and `description`, or, on a loopback server without tokens, JSON with paths on its disk.',
	request: {body: {content: {'application/json': {schema: datasetByPathSchema}}, required: true}},
	responses: {201: jsonReply(datasetSummarySchema, 'the new snapshot')},
});

const samples = createRoute({
	method: 'post',
	path: '/api/v1/datasets/samples',
	operationId: 'addSamples',
	tags: ['datasets'],
	summary: 'Add the sample datasets that are not there yet',
	responses: {200: jsonReply(samplesReplySchema, 'every sample, with whether it was added now')},
});

const remove = createRoute({
	method: 'delete',
	path: '/api/v1/datasets/{dataset_id}',
	operationId: 'removeDataset',
	tags: ['datasets'],
	summary: 'Remove a dataset with all its snapshots, for good',
	description:
		'A governed action like any other: by the built-in rules a person approves it first. What is held is not removed. Runs that used it stay on record and verify.',
	request: {params: z.object({dataset_id: z.string().min(1).max(63)})},
	responses: {200: jsonReply(workReplySchema, 'what became of it; one that waits, was refused or failed says so in `status`')},
});

export function datasetRoutes(context: TurnContext) {
	const {deps, turns} = context;
	const {analyst, options} = deps;
	const tenantOf = (c: AppContext) => c.get('principal').tenant;
	// A secret may have been set after a profile was made.
	const clean = <Body>(body: Body) => deps.redact(body).value as Body;
	const router = createRouter();

	// Ahead of the JSON route, because files must not be read into memory to be validated.
	router.post('/datasets', async (c, next) => {
		if (!/^multipart\/form-data\b/i.test(c.req.header('content-type') ?? '')) return next();
		const dataset = await turns.occupy(c.req.raw.signal, async (signal) => {
			const upload = await receive(c, deps);
			try {
				return await analyst.add({...upload.fields, files: upload.files}, {...callerOf(c), signal});
			} finally {
				await upload.discard();
			}
		});
		return c.json(clean(toDatasetSummary(dataset)), 201);
	});

	return router
		.openapi(list, async (c) => {
			const datasets = await analyst.datasets(tenantOf(c));
			return c.json(clean({datasets: datasets.map(toDatasetSummary)}), 200);
		})
		.openapi(schema, async (c) => {
			const dataset = await analyst.dataset(tenantOf(c), c.req.valid('param').dataset_id);
			return c.json(clean(await toDatasetSchema(analyst, dataset, {...callerOf(c), signal: c.req.raw.signal})), 200);
		})
		.openapi(samples, async (c) => {
			const work = (signal: AbortSignal) => addSamples(analyst, options.uploadDir, {...callerOf(c), signal});
			return c.json({datasets: await turns.occupy(c.req.raw.signal, work)}, 200);
		})
		.openapi(remove, async (c) => {
			const {dataset_id} = c.req.valid('param');
			await analyst.dataset(tenantOf(c), dataset_id).catch(unlessDamaged);
			return c.json(await perform({tool: 'dataset.remove', mode: 'remove', input: {dataset_id}}, c, context), 200);
		})
		.openapi(add, async (c) => {
			if (!isLoopback(options.host) || c.get('caller').by !== 'open') {
				throw new WritError('forbidden', 'adding files by path is for a single-user server on this machine', {
					hint: 'upload them as multipart/form-data',
				});
			}
			const {path, id, name, description} = c.req.valid('json');
			const files = await Promise.all([path].flat().map(findFile));
			const given = {...(id && {id}), ...(name && {name}), ...(description && {description})};
			const dataset = await turns.occupy(c.req.raw.signal, (signal) => analyst.add({...given, files}, {...callerOf(c), signal}));
			return c.json(clean(toDatasetSummary(dataset)), 201);
		});
}

function unlessDamaged(error: unknown): void {
	if (!(error instanceof WritError && error.code === 'dataset_corrupt')) throw error;
}

/** Takes an upload only where there is room for all of it; the dataset that is made of it asks for room of its own. */
async function receive(c: AppContext, {options, storage}: TurnContext['deps']): Promise<Upload> {
	const announced = c.req.header('content-length');
	const bytes = announced === undefined ? options.maxUploadBytes : Math.min(Number(announced), options.maxUploadBytes);
	await using _room = await storage.hold(c.get('principal').tenant, bytes);
	return await receiveUpload(c.req.raw, options, randomUUID());
}

async function findFile(path: string, index: number): Promise<UploadedFile> {
	const unreadable = (reason: string, cause?: unknown) => new WritError('unreadable_file', `${path}: ${reason}`, {cause});
	if (!isAbsolute(path)) throw unreadable('give the whole path, from /');
	const found = await stat(path).catch((cause: unknown) => {
		throw unreadable('there is no such file, or it may not be read', cause);
	});
	if (!found.isFile()) throw unreadable('it is not a file');
	return {name: displayName(basename(path), index), path};
}
