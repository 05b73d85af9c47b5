import type {OpenAPIHono} from '@hono/zod-openapi';
import {z} from 'zod';
import {
	capsuleSchema,
	chatRequestSchema,
	chatResponseSchema,
	checkSchema,
	datasetSchemaReplySchema,
	datasetSummarySchema,
	detailsSchema,
	errorReplySchema,
	messageSchema,
	resultSchema,
	runRequestSchema,
	runSummarySchema,
	toolSummarySchema,
	verificationSchema,
} from '#contract/api.ts';
import {approvalSchema} from '#contract/approval-api.ts';
import {turnEventSchema} from '#contract/stream.ts';
import type {AppEnv} from './context.ts';

type Json = Record<string, unknown>;
type Content = Readonly<Record<string, {schema: unknown}>>;

export type OpenApiDocument = {
	readonly openapi: '3.1.0';
	readonly info: Json;
	readonly paths: Record<string, Record<string, Json>>;
	readonly components: {readonly schemas: Record<string, Json>};
};

const NAMED: Readonly<Record<string, z.ZodType>> = {
	Approval: approvalSchema,
	Capsule: capsuleSchema,
	ChatRequest: chatRequestSchema,
	ChatResponse: chatResponseSchema,
	Check: checkSchema,
	DatasetSchema: datasetSchemaReplySchema,
	DatasetSummary: datasetSummarySchema,
	Details: detailsSchema,
	Error: errorReplySchema,
	Message: messageSchema,
	Result: resultSchema,
	RunRequest: runRequestSchema,
	RunSummary: runSummarySchema,
	Tool: toolSummarySchema,
	TurnEvent: turnEventSchema,
	Verification: verificationSchema,
};

/** The routes as OpenAPI 3.1, whose schemas are JSON Schema as zod writes it. Every operation may answer with an error. */
export function describeApi(app: OpenAPIHono<AppEnv>, version: string): OpenApiDocument {
	const names = z.registry<{id: string}>();
	for (const [id, schema] of Object.entries(NAMED)) names.add(schema, {id});
	const paths: OpenApiDocument['paths'] = {};
	for (const definition of app.openAPIRegistry.definitions) {
		if (definition.type !== 'route') continue;
		const {route} = definition;
		paths[route.path] = {...paths[route.path], [route.method]: describeOperation(route as Route, names)};
	}
	const about = 'Agents propose, gates decide, sandboxes compute, evidence remains.';
	return {
		openapi: '3.1.0',
		info: {title: 'Writ', version, description: about},
		paths,
		components: {schemas: componentsOf(names)},
	};
}

type Route = {
	readonly operationId: string;
	readonly summary?: string;
	readonly description?: string;
	readonly tags?: readonly string[];
	readonly request?: {
		readonly params?: z.ZodObject;
		readonly query?: z.ZodObject;
		readonly body?: {readonly content: Content; readonly required?: boolean};
	};
	readonly responses: Readonly<Record<string, {readonly description: string; readonly content?: Content}>>;
};
type Names = ReturnType<typeof z.registry<{id: string}>>;

function describeOperation({operationId, summary, description, tags, request, responses}: Route, names: Names): Json {
	const parameters = [...parametersOf('path', request?.params), ...parametersOf('query', request?.query)];
	const replies = Object.entries(responses).map(([status, {description, content}]) => [
		status,
		{description, ...(content && {content: contentOf(content, `${pascal(operationId)}Reply`, names)})},
	]);
	const error = {description: 'an error', content: {'application/json': {schema: refTo('Error')}}};
	return {
		operationId,
		...(summary && {summary}),
		...(description && {description}),
		...(tags && {tags}),
		...(parameters.length > 0 && {parameters}),
		...(request?.body && {
			requestBody: {
				required: request.body.required ?? false,
				content: contentOf(request.body.content, `${pascal(operationId)}Body`, names),
			},
		}),
		responses: {...Object.fromEntries(replies), default: error},
	};
}

function parametersOf(place: 'path' | 'query', shape: z.ZodObject | undefined): Json[] {
	if (!shape) return [];
	const {properties = {}, required = []} = shape.toJSONSchema({io: 'input', unrepresentable: 'any'}) as {
		properties?: Record<string, Json>;
		required?: string[];
	};
	return Object.entries(properties).map(([name, {description, ...schema}]) => ({
		name,
		in: place,
		required: place === 'path' || required.includes(name),
		...(typeof description === 'string' && {description}),
		schema,
	}));
}

function contentOf(content: Content, name: string, names: Names): Json {
	return Object.fromEntries(
		Object.entries(content).map(([type, {schema}], index) => {
			if (!(schema instanceof z.ZodType)) return [type, {schema: schema ?? {}}];
			if (!names.has(schema)) names.add(schema, {id: index === 0 ? name : `${name}${index + 1}`});
			return [type, {schema: refTo(names.get(schema)?.id ?? name)}];
		}),
	);
}

function refTo(name: string): Json {
	return {$ref: `#/components/schemas/${name}`};
}

/** zod keeps what several schemas share in a document of its own; here it has a name like any other. */
function componentsOf(names: Names): Record<string, Json> {
	const {schemas} = z.toJSONSchema(names, {uri: (id) => `#/components/schemas/${id}`, unrepresentable: 'any', io: 'input'});
	const text = JSON.stringify(schemas).replaceAll('#/components/schemas/__shared#/$defs/', '#/components/schemas/');
	const {__shared, ...own} = JSON.parse(text) as Record<string, Json> & {__shared?: {$defs?: Record<string, Json>}};
	const components: Record<string, Json> = {};
	for (const [name, {$schema: _schema, $id: _id, ...schema}] of Object.entries({...own, ...__shared?.$defs}))
		components[name] = schema;
	return components;
}

function pascal(name: string): string {
	return `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}
