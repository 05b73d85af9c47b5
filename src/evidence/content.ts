/** What of an event can be erased, as its writer sees it: hashed by a salted digest, taken out, and how it is stored then. */
import {randomBytes} from 'node:crypto';
import {WritError} from '#contract/errors.ts';
import {CONTENT, type Event} from '#contract/event.ts';
import {digest} from './canonical.ts';

type Unhashed = Omit<Event, 'hash'> & {readonly hash?: string};
type Data = Readonly<Record<string, unknown>>;

/** Drawn many at a time: to draw one takes longer than to hash what it salts. Each is handed out once. */
const drawn = {digits: '', used: 0};
const SALT_DIGITS = 32;

export function newSalt(): string {
	if (drawn.used === drawn.digits.length) Object.assign(drawn, {digits: randomBytes(128 * SALT_DIGITS).toString('hex'), used: 0});
	drawn.used += SALT_DIGITS;
	return drawn.digits.slice(drawn.used - SALT_DIGITS, drawn.used);
}

/** The hash that an event has to have. */
export function hashOf(event: Unhashed): string {
	const fields = event.v === 2 ? CONTENT[event.type] : undefined;
	if (!fields) return digest(event.hash === undefined ? event : {...event, hash: undefined});
	const {salt, erased, data, actor, at, prev, runId, seq, type, v} = event;
	const {kept, content} = split(data, fields);
	return digest({actor, at, content: erased ?? digest({content, salt}), data: kept, prev, runId, seq, type, v});
}

/** The event without its content; null when it has none, or is of a version whose hash covers it as it stands. */
export function eraseContent(event: Event): Event | null {
	const fields = CONTENT[event.type];
	if (event.v !== 2 || !fields || event.erased !== undefined) return null;
	const {salt, data, ...envelope} = event;
	const {kept, content} = split(data, fields);
	return {...envelope, data: {...kept, ...fields}, erased: digest({content, salt})} as Event;
}

/** As it is stored: nothing stands where content was erased. */
export function toStored(event: Event): unknown {
	const fields = event.erased === undefined ? undefined : CONTENT[event.type];
	return fields ? {...event, data: split(event.data, fields).kept} : event;
}

/** Throws `content_erased`: what was asked and returned is gone, and nothing can be done with it again. */
export function assertWhole(events: readonly Event[], runId: string): void {
	if (events.every(({erased}) => erased === undefined)) return;
	throw new WritError('content_erased', `what run \`${runId}\` was asked and returned was erased: it cannot be done again`, {
		hint: '`writ evidence verify` says when, and by which rule of the policy',
		details: {runId},
	});
}

function split(data: Data, fields: object): {readonly kept: Data; readonly content: Data} {
	const kept: Record<string, unknown> = {};
	const content: Record<string, unknown> = {};
	for (const key in data) (key in fields ? content : kept)[key] = data[key];
	return {kept, content};
}
