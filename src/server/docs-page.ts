import {createHash} from 'node:crypto';
import type {OpenApiDocument} from './openapi.ts';

const STYLE = `:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.5rem;border-bottom:1px solid #8884;text-transform:capitalize}
details{border:1px solid #8884;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}summary{cursor:pointer}
code,pre{font:13px/1.5 ui-monospace,monospace}pre{overflow:auto;background:#8881;padding:.6rem;border-radius:4px}
b{display:inline-block;min-width:3.5rem}table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}a{color:inherit}`;

/** The page's one style is allowed by its hash; it has no script and asks nothing of another host. */
export const DOCS_CSP = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; frame-ancestors 'none'`;

type Operation = {
	operationId: string;
	summary?: string;
	description?: string;
	tags?: string[];
	parameters?: {name: string; in: string; required: boolean; description?: string; schema: unknown}[];
	requestBody?: {content: Record<string, {schema: unknown}>};
	responses: Record<string, {description: string; content?: Record<string, {schema: unknown}>}>;
};
type Entry = {readonly method: string; readonly path: string; readonly operation: Operation};

/** `openapi.json` for people. */
export function renderDocs({info, paths, components}: OpenApiDocument): string {
	const entries: Entry[] = Object.entries(paths).flatMap(([path, operations]) =>
		Object.entries(operations).map(([method, operation]) => ({method, path, operation: operation as unknown as Operation})),
	);
	const groups = Map.groupBy(entries, ({operation}) => operation.tags?.[0] ?? 'other');
	const sections = [...groups].map(([tag, members]) => `<h2>${escapeHtml(tag)}</h2>${members.map(renderOperation).join('')}`);
	const schemas = Object.entries(components.schemas).map(
		([name, schema]) =>
			`<details id="${escapeHtml(name)}"><summary><code>${escapeHtml(name)}</code></summary>${renderSchema(schema)}</details>`,
	);
	return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Writ API</title><style>${STYLE}</style></head><body><h1>Writ API ${escapeHtml(String(info.version))}</h1>
<p>${escapeHtml(String(info.description))} As a document: <a href="/openapi.json">openapi.json</a>.</p>
${sections.join('')}<h2>schemas</h2>${schemas.join('')}</body></html>`;
}

function renderOperation({method, path, operation}: Entry): string {
	const {operationId, summary = '', description, parameters = [], requestBody, responses} = operation;
	const rows = parameters.map(
		(given) =>
			`<tr><td><code>${escapeHtml(given.name)}</code></td><td>${given.in}${given.required ? '' : ', optional'}</td><td>${escapeHtml(given.description ?? '')}</td></tr>`,
	);
	const body = requestBody ? `<p>Body</p>${renderContent(requestBody.content)}` : '';
	const replies = Object.entries(responses).map(
		([status, reply]) => `<p><code>${status}</code> ${escapeHtml(reply.description)}</p>${renderContent(reply.content ?? {})}`,
	);
	return `<details id="${escapeHtml(operationId)}"><summary><b>${method.toUpperCase()}</b> <code>${escapeHtml(path)}</code> ${escapeHtml(summary)}</summary>
${description ? `<p>${escapeHtml(description)}</p>` : ''}${rows.length > 0 ? `<table>${rows.join('')}</table>` : ''}${body}${replies.join('')}</details>`;
}

function renderContent(content: Record<string, {schema: unknown}>): string {
	return Object.entries(content)
		.map(([type, {schema}]) => `<p><code>${escapeHtml(type)}</code></p>${renderSchema(schema)}`)
		.join('');
}

function renderSchema(schema: unknown): string {
	const text = escapeHtml(JSON.stringify(schema, null, 2));
	return `<pre>${text.replace(/#\/components\/schemas\/(\w+)/g, '<a href="#$1">$1</a>')}</pre>`;
}

function escapeHtml(text: string): string {
	return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
