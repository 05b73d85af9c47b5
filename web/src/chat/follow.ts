import type {TurnEvent} from '#contract/stream.ts';
import {ApiError, request} from '../api/client.ts';
import {runPath} from '../api/queries.ts';
import {readFrames} from '../api/sse.ts';
import type {TurnError} from './exchange.ts';

export type Open = (signal: AbortSignal) => Promise<Response>;
type Watcher = {
	readonly signal: AbortSignal;
	onRun(runId: string): void;
	onFrame(event: TurnEvent): void;
	onLost(): void;
};

const ATTEMPTS = 6;
const LOST: TurnError = {
	type: 'UNREACHABLE',
	message: 'The connection to the server was lost.',
	hint: 'The run goes on without this page. Try again to see how it ended.',
};

/**
 * Reads frames until the turn is done, joining it again after the last frame seen as often as the connection breaks. Resolves with
 * why it could not be followed to its end, or null.
 */
export async function followTurn(first: Open, watcher: Watcher): Promise<TurnError | null> {
	const seen: Seen = {runId: null, lastId: '', done: false};
	let open = first;
	for (let failures = 0; failures < ATTEMPTS; failures += 1) {
		try {
			for await (const frame of readFrames(await open(watcher.signal))) {
				failures = 0;
				note(frame.id, seen, watcher);
				watcher.onFrame({event: frame.event, data: JSON.parse(frame.data)} as TurnEvent);
				seen.done ||= frame.event === 'done';
			}
		} catch (error) {
			if (error instanceof ApiError && error.code !== 'unreachable' && error.code !== 'aborted') return toTurnError(error);
		}
		if (seen.done || watcher.signal.aborted) return null;
		const {runId, lastId} = seen;
		if (runId === null) return LOST;
		watcher.onLost();
		await pause(Math.min(8_000, 250 * 2 ** failures));
		open = (signal) => joinTurn(runId, lastId, signal);
	}
	return LOST;
}

type Seen = {runId: string | null; lastId: string; done: boolean};

/** A turn that joined late has frames without an id: they cannot be asked for again, and need not be. */
function note(id: string, seen: Seen, watcher: Watcher): void {
	if (id === '') return;
	seen.lastId = id;
	const runId = id.slice(0, id.lastIndexOf(':'));
	if (runId === seen.runId) return;
	seen.runId = runId;
	watcher.onRun(runId);
}

export function joinTurn(runId: string, lastId: string, signal: AbortSignal): Promise<Response> {
	return request(`${runPath(runId)}/stream`, {headers: lastId ? {'last-event-id': lastId} : {}, signal});
}

function toTurnError({code, message, hint}: ApiError): TurnError {
	return {type: code.toUpperCase(), message, hint};
}

function pause(ms: number): Promise<void> {
	const {promise, resolve} = Promise.withResolvers<void>();
	setTimeout(resolve, ms);
	return promise;
}
