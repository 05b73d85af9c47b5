import {createHash} from 'node:crypto';
import {readdirSync, readFileSync, statSync} from 'node:fs';
import {extname, join, sep} from 'node:path';
import {promisify} from 'node:util';
import {brotliCompress, constants, gzip} from 'node:zlib';
import {createMiddleware} from 'hono/factory';
import type {AppContext, AppEnv} from './context.ts';

type Asset = {
	readonly body: Uint8Array<ArrayBuffer>;
	readonly type: string;
	readonly etag: string;
	/** named by its content: never changes under its name */
	readonly immutable: boolean;
	/** made with the first request that wants it */
	readonly packed: Map<'br' | 'gzip', Promise<Uint8Array<ArrayBuffer>>>;
};

const TYPES: Readonly<Record<string, string>> = {
	'.html': 'text/html; charset=utf-8',
	'.js': 'text/javascript; charset=utf-8',
	'.css': 'text/css; charset=utf-8',
	'.json': 'application/json',
	'.map': 'application/json',
	'.svg': 'image/svg+xml',
	'.png': 'image/png',
	'.ico': 'image/x-icon',
	'.woff2': 'font/woff2',
	'.txt': 'text/plain; charset=utf-8',
	'.webmanifest': 'application/manifest+json',
};

/** No script but ours, nothing from elsewhere. Styles may be inline: dialogs and charts set them as they open. */
const PAGE_CSP = [
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self' 'unsafe-inline'",
	"img-src 'self' data: blob:",
	"font-src 'self'",
	"connect-src 'self'",
	"manifest-src 'self'",
	"worker-src 'self'",
	"base-uri 'none'",
	"form-action 'self'",
	"frame-ancestors 'none'",
].join('; ');

/** Paths that answer a browser's address bar with data, not with the page. */
const DATA = /^\/(api\/|auth\/|docs|openapi\.json|metrics|healthz|readyz|assets\/)|^\/(runs|datasets|threads)\/[^/]+\/./;

const NOT_BUILT = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Writ</title>
<h1>Writ is running</h1><p>The page has not been built. Run <code>make run</code>, then reload.
The API is described at <a href="/docs">/docs</a>.</p></html>`;

/** The built page: its files by name, and itself for every address a person opens. Read when first asked for and when it was rebuilt. */
export function servePage(pageDir: string | null) {
	const state = {builtAt: -1, assets: new Map<string, Asset>()};
	const load = () => {
		const builtAt = pageDir === null ? -1 : (statSync(join(pageDir, 'index.html'), {throwIfNoEntry: false})?.mtimeMs ?? -1);
		if (builtAt !== state.builtAt)
			Object.assign(state, {builtAt, assets: builtAt === -1 ? new Map() : readAssets(pageDir ?? '')});
		return state.assets;
	};
	return createMiddleware<AppEnv>(async (c, next) => {
		const reads = c.req.method === 'GET' || c.req.method === 'HEAD';
		if (!reads || pageDir === null) return next();
		const navigates = isNavigation(c);
		if (navigates) return sendAsset(c, load().get('/index.html'));
		const asset = c.req.path === '/' ? undefined : load().get(c.req.path);
		return asset ? sendAsset(c, asset) : next();
	});
}

function isNavigation(c: AppContext): boolean {
	if (c.req.path === '/') return true;
	if (DATA.test(c.req.path) || /\.\w+$/.test(c.req.path)) return false;
	return (c.req.header('accept') ?? '').includes('text/html');
}

async function sendAsset(c: AppContext, asset: Asset | undefined): Promise<Response> {
	c.header('content-security-policy', PAGE_CSP);
	c.header('vary', 'accept, accept-encoding');
	if (!asset) return c.html(NOT_BUILT, 200, {'cache-control': 'no-cache'});
	c.header('cache-control', asset.immutable ? 'public, max-age=31536000, immutable' : 'no-cache');
	c.header('etag', asset.etag);
	if (c.req.header('if-none-match') === asset.etag) return c.body(null, 304);
	const encoding = encodingFor(c.req.header('accept-encoding') ?? '', asset);
	if (encoding) c.header('content-encoding', encoding);
	return c.body(encoding ? await packed(asset, encoding) : asset.body, 200, {'content-type': asset.type});
}

/** Small files and those that are compressed already gain nothing. */
function encodingFor(accepted: string, {type, body}: Asset): 'br' | 'gzip' | null {
	if (body.length < 1_024 || /^(image\/(?!svg)|font\/)/.test(type)) return null;
	if (/\bbr\b/.test(accepted)) return 'br';
	return /\bgzip\b/.test(accepted) ? 'gzip' : null;
}

function packed({packed: cache, body}: Asset, encoding: 'br' | 'gzip'): Promise<Uint8Array<ArrayBuffer>> {
	const made = cache.get(encoding) ?? compress(body, encoding);
	cache.set(encoding, made);
	return made;
}

async function compress(body: Uint8Array, encoding: 'br' | 'gzip'): Promise<Uint8Array<ArrayBuffer>> {
	if (encoding === 'gzip') return new Uint8Array(await promisify(gzip)(body));
	// Quality 5 packs a megabyte in tens of milliseconds; the highest would take seconds for a tenth less.
	return new Uint8Array(await promisify(brotliCompress)(body, {params: {[constants.BROTLI_PARAM_QUALITY]: 5}}));
}

function readAssets(dir: string): Map<string, Asset> {
	const files = readdirSync(dir, {recursive: true, withFileTypes: true}).filter((entry) => entry.isFile());
	return new Map(
		files.map((entry) => {
			const path = join(entry.parentPath, entry.name);
			const body = new Uint8Array(readFileSync(path));
			const url = path.slice(join(dir, sep).length - 1).replaceAll(sep, '/');
			const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
			const type = TYPES[extname(entry.name)] ?? 'application/octet-stream';
			return [url, {body, type, etag, immutable: url.startsWith('/assets/'), packed: new Map()}];
		}),
	);
}
