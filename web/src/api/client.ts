/** The one place that talks to the server. Every failure is an `ApiError` with something to show and something to do next. */
import type {ErrorReply} from '#contract/api.ts';
import {createStore} from '../ui/store.ts';

export class ApiError extends Error {
	override readonly name = 'ApiError';
	/** a code of the server's catalogue, or `unreachable` */
	readonly code: string;
	readonly hint: string | undefined;
	readonly requestId: string | undefined;

	constructor(
		code: string,
		message: string,
		more: {hint?: string | undefined; requestId?: string | undefined; cause?: unknown} = {},
	) {
		super(message, {cause: more.cause});
		this.code = code;
		this.hint = more.hint;
		this.requestId = more.requestId;
	}
}

const TOKEN_KEY = 'writToken';

type Access = {readonly token: string | null; readonly wanted: boolean; readonly provider: string | null};

/** Kept for the tab only. `wanted` while the server refuses what we have; `provider` is with whom one may sign in there. */
export const access = createStore<Access>({
	token: sessionStorage.getItem(TOKEN_KEY),
	wanted: false,
	provider: null,
});

export function setToken(token: string): void {
	sessionStorage.setItem(TOKEN_KEY, token);
	access.set({...access.get(), token, wanted: false});
}

export function clearToken(): void {
	sessionStorage.removeItem(TOKEN_KEY);
	access.set({...access.get(), token: null});
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
	const headers = authorized(init.headers);
	const response = await fetch(path, {...init, headers}).catch((cause: unknown) => {
		if (init.signal?.aborted) throw new ApiError('aborted', 'stopped');
		throw new ApiError('unreachable', 'The server does not answer.', {hint: 'Check that `writ serve` is running.', cause});
	});
	if (!response.ok) throw await toApiError(response);
	return response;
}

export function authorized(given?: HeadersInit): Headers {
	const headers = new Headers(given);
	const {token} = access.get();
	if (token) headers.set('authorization', `Bearer ${token}`);
	return headers;
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
	const response = await request(path, {headers: {accept: 'application/json'}, ...(signal && {signal})});
	return (await response.json()) as T;
}

export async function postJson<T>(path: string, body?: unknown): Promise<T> {
	const sent = body === undefined ? {} : {body: JSON.stringify(body), headers: {'content-type': 'application/json'}};
	return (await (await request(path, {method: 'POST', ...sent})).json()) as T;
}

async function toApiError(response: Response): Promise<ApiError> {
	return readError(response.status, await response.text().catch(() => ''));
}

/** Also for requests that are not made by `fetch`, such as uploads with progress. */
export function readError(status: number, text: string): ApiError {
	const {error} = parse(text);
	if (status === 401) access.set({...access.get(), wanted: true, provider: providerIn(error?.details)});
	if (!error) return new ApiError('internal_error', `The server answered ${status}.`);
	return new ApiError(error.code, error.message, {hint: error.hint, requestId: error.requestId});
}

function providerIn(details: unknown): string | null {
	const {provider} = (details ?? {}) as {provider?: unknown};
	return typeof provider === 'string' ? provider : null;
}

function parse(text: string): Partial<ErrorReply> {
	try {
		return JSON.parse(text) as Partial<ErrorReply>;
	} catch {
		return {}; // a proxy's page, or nothing at all
	}
}

/** Saves a reply as a file; a link would show errors as a page and could not carry a token. */
/** Saves a reply as a file. `truncated` says that the file does not hold all rows. */
export async function download(path: string, fallbackName: string): Promise<{readonly truncated: boolean}> {
	const response = await request(path);
	const disposition = response.headers.get('content-disposition') ?? '';
	const encoded = /filename\*=UTF-8''([^;]+)/.exec(disposition)?.[1];
	const url = URL.createObjectURL(await response.blob());
	const link = document.createElement('a');
	link.href = url;
	link.download = encoded ? decodeURIComponent(encoded) : fallbackName;
	link.click();
	setTimeout(() => URL.revokeObjectURL(url), 60_000);
	return {truncated: response.headers.get('x-writ-truncated') === 'true'};
}
