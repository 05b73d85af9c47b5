/** Reads what a runner says on its private descriptor. Nothing that arrives is trusted: a runner may have been taken over. */
import {WritError} from '#contract/errors.ts';
import {type Frame, frameSchema} from '#contract/sandbox.ts';

/** Frames are read in one piece, so one may not hold the event loop for long. */
const MAX_FRAME_BYTES = 32 * 2 ** 20;
const MAX_FRAMES = 65_536;
const MAX_DEPTH = 64;
/** All that is done with an answer takes longer for each list and each member of an object in it than for as many bytes of text. */
const BYTES_PER_MEMBER = 16;
/** Rows lie in the list of a frame; lists are counted from their cells on. */
const ROW_DEPTH = 2;
/** Of a list or an object that is compared with a schema, which names everything in it that is wrong. */
const MAX_LISTED = 65_536;
const HEADER_BYTES = 4;
const UTF8 = new TextDecoder('utf-8', {fatal: true});

type FrameReader = {
	/** bytes received so far */
	readonly bytes: number;
	/** Takes the next bytes and hands on the frames they complete. Throws on anything the protocol does not allow. */
	push(chunk: Buffer): void;
};

/**
 * Decodes the stream of one sandbox. The order is `ready`, any frames, one `done` or `error`, nothing. More than `outputBytes` in all,
 * or a list or a member of an object for every 16 of them, is `runner_resource_exceeded`; anything else out of order or out of shape is
 * `runner_internal_error`.
 */
export function createFrameReader(outputBytes: number, onFrame: (frame: Frame) => void): FrameReader {
	const state: {bytes: number; frames: number; last: Frame['type'] | undefined} = {bytes: 0, frames: 0, last: undefined};
	const pending: Pending = {chunks: [], bytes: 0};
	const count = countMembers(outputBytes);
	const accept = (frame: Frame): Frame => {
		if ((frame.type === 'ready') !== (state.last === undefined)) throw violation(`sent \`${frame.type}\` out of order`);
		state.last = frame.type;
		state.frames += 1;
		if (state.frames > MAX_FRAMES) throw tooMuch(outputBytes);
		return frame;
	};
	const push = (chunk: Buffer): void => {
		state.bytes += chunk.length;
		if (state.bytes > outputBytes) throw tooMuch(outputBytes);
		hold(pending, chunk);
		while (pending.bytes > 0) {
			if (isLast(state.last)) throw violation('sent bytes after its last frame');
			const body = takeFrame(pending, outputBytes);
			if (!body) return;
			onFrame(accept(parseFrame(body, count)));
		}
	};
	return {
		get bytes() {
			return state.bytes;
		},
		push,
	};
}

/** One frame around `value`, for the descriptor that a runner reads. */
export function encodeFrame(value: unknown): Buffer {
	const body = Buffer.from(JSON.stringify(value), 'utf8');
	const header = Buffer.alloc(HEADER_BYTES);
	header.writeUInt32BE(body.length);
	return Buffer.concat([header, body]);
}

/** True for the frame that ends a run. */
export function isLast(type: Frame['type'] | undefined): boolean {
	return type === 'done' || type === 'error';
}

type Pending = {chunks: Buffer[]; bytes: number};

/** Smaller chunks are joined with their like: a runner that drips bytes must not have us keep an object for each of them. */
const SMALL_CHUNK = 4_096;

function hold(pending: Pending, chunk: Buffer): void {
	pending.bytes += chunk.length;
	const {chunks} = pending;
	let last = chunk;
	for (let before = chunks.at(-1); before && last.length < SMALL_CHUNK && before.length <= last.length; before = chunks.at(-1)) {
		chunks.pop();
		last = Buffer.concat([before, last]);
	}
	chunks.push(last);
}

/** Chunks are joined once per frame, not once per chunk: a large frame in small pieces costs linear time. */
function takeFrame(pending: Pending, outputBytes: number): Buffer | undefined {
	if (pending.bytes < HEADER_BYTES) return undefined;
	const head = pending.chunks[0];
	const header = head && head.length >= HEADER_BYTES ? head : join(pending);
	const length = header.readUInt32BE();
	if (length > outputBytes) throw tooMuch(outputBytes);
	if (length > MAX_FRAME_BYTES) throw violation(`announced a frame of ${length} bytes; at most ${MAX_FRAME_BYTES} are allowed`);
	if (pending.bytes < HEADER_BYTES + length) return undefined;
	const all = join(pending);
	const rest = all.subarray(HEADER_BYTES + length);
	pending.chunks = rest.length > 0 ? [rest] : [];
	pending.bytes = rest.length;
	return all.subarray(HEADER_BYTES, HEADER_BYTES + length);
}

function join(pending: Pending): Buffer {
	const [only] = pending.chunks;
	const all = only && pending.chunks.length === 1 ? only : Buffer.concat(pending.chunks);
	pending.chunks = [all];
	return all;
}

/** Throws once more lists and members were counted than fit in an answer. */
type Count = (members: number) => void;

function countMembers(outputBytes: number): Count {
	const most = Math.floor(outputBytes / BYTES_PER_MEMBER);
	const state = {members: 0};
	return (members) => {
		state.members += members;
		if (state.members > most) throw tooMany(most, outputBytes);
	};
}

function parseFrame(body: Buffer, count: Count): Frame {
	const value = parseJson(body);
	inspect(value, count);
	// Rows are by far the most of any answer and are JSON by construction: their outline is all that is left to check.
	if (isRows(value)) return {type: 'rows', rows: value.rows};
	const [outline, payload] = takeApart(value);
	const parsed = isBrief(outline) ? frameSchema.safeParse(outline) : undefined;
	if (!parsed?.success) throw violation('sent a frame of an unknown shape');
	return {...parsed.data, ...payload} as Frame;
}

/** Where frames carry JSON of any shape. */
const PAYLOADS: Readonly<Record<string, string>> = {value: 'value', call: 'input', profile: 'table', error: 'details'};

/** A frame with an empty payload, and the payload: that is JSON as well, and a schema would take seconds to say so of many small values. */
function takeApart(value: unknown): readonly [outline: unknown, payload: object] {
	if (!isObject(value) || !('type' in value)) return [value, {}];
	const key = PAYLOADS[String(value.type)];
	const {[key ?? '']: payload, ...outline} = value as Record<string, unknown>;
	if (key === undefined || !isObject(payload) || (key === 'details' && Array.isArray(payload))) return [value, {}];
	return [{...outline, [key]: {}}, {[key]: payload}];
}

function isBrief(value: unknown): boolean {
	if (!isObject(value)) return true;
	const children = Object.values(value);
	return children.length <= MAX_LISTED && children.every(isBrief);
}

function parseJson(body: Buffer): unknown {
	try {
		return JSON.parse(UTF8.decode(body));
	} catch (cause) {
		throw violation('sent a frame that is not JSON', cause);
	}
}

type RowsFrame = Extract<Frame, {type: 'rows'}>;

function isRows(value: unknown): value is RowsFrame {
	if (!isObject(value) || !('type' in value) || value.type !== 'rows') return false;
	return 'rows' in value && Array.isArray(value.rows) && value.rows.every(Array.isArray);
}

/**
 * Throws for what is too deep or too much, and for a number that JSON text can say and no value of JSON is. Level by level, without
 * recursion: the depth of what arrives is not ours to choose.
 */
function inspect(root: unknown, count: Count): void {
	let level: object[] = isObject(root) ? [root] : [];
	for (let depth = 0; level.length > 0; depth++) {
		if (depth > MAX_DEPTH) throw violation(`sent JSON nested deeper than ${MAX_DEPTH} levels`);
		const below: object[] = [];
		for (const value of level) {
			const children = childrenOf(value);
			if (!Array.isArray(value)) count(children.length);
			else if (depth > ROW_DEPTH) count(1);
			inspectAll(children, below);
		}
		level = below;
	}
}

function inspectAll(children: readonly unknown[], below: object[]): void {
	for (const child of children) {
		if (isObject(child)) below.push(child);
		else if (typeof child === 'number' && !Number.isFinite(child)) throw violation('sent a number that is not finite');
	}
}

/** A prototype is left out: whoever copies an object would set it. */
function childrenOf(value: object): readonly unknown[] {
	if (Array.isArray(value)) return value;
	if (Object.hasOwn(value, '__proto__')) Reflect.deleteProperty(value, '__proto__');
	return Object.values(value);
}

function isObject(value: unknown): value is object {
	return typeof value === 'object' && value !== null;
}

function tooMuch(outputBytes: number): WritError {
	return new WritError(
		'runner_resource_exceeded',
		`the answer is larger than ${outputBytes} bytes, the output limit of a sandbox`,
		{
			hint: 'ask for fewer rows or columns, or raise MAX_OUTPUT_BYTES',
			details: {limit: 'outputBytes', value: outputBytes},
		},
	);
}

function tooMany(most: number, outputBytes: number): WritError {
	return new WritError(
		'runner_resource_exceeded',
		`the answer has more than ${most} lists and members of objects, one for every ${BYTES_PER_MEMBER} bytes of the output limit`,
		{
			hint: 'ask for fewer records, return them as text, or raise MAX_OUTPUT_BYTES',
			details: {limit: 'outputBytes', value: outputBytes},
		},
	);
}

function violation(what: string, cause?: unknown): WritError {
	return new WritError('runner_internal_error', `the runner broke its protocol: it ${what}`, {cause});
}
