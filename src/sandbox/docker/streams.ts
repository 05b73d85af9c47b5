/** Takes apart what an engine sends of a container without a terminal: header of a stream's number and a length, then the bytes. */
import type {Duplex} from 'node:stream';
import {PassThrough} from 'node:stream';
import type {WritError} from '#contract/errors.ts';
import {unavailable} from './api.ts';

const HEADER_BYTES = 8;
const LENGTH = 4;

type Attached = {
	readonly stdout: PassThrough;
	readonly stderr: PassThrough;
	/** Settles when the engine has sent all there is. Rejects when the connection broke or what came was no stream of a container. */
	readonly ended: Promise<void>;
	/** when something last came for `stderr`; a listener there would take what comes before its reader does */
	printedAt(): number | undefined;
};

/** Both streams must be read: neither waits for the other. */
export function separate(connection: Duplex): Attached {
	const [stdout, stderr] = [new PassThrough(), new PassThrough()];
	const {promise: ended, resolve, reject} = Promise.withResolvers<void>();
	const splitter = createSplitter({1: stdout, 2: stderr});
	const finish = () => {
		stdout.end();
		stderr.end();
	};
	connection.on('data', (chunk: Buffer) => {
		if (!splitter.push(chunk)) connection.destroy(unavailable('what it sent of a container was not its output'));
	});
	connection.once('end', () => (splitter.isWhole() ? resolve() : reject(cut())));
	connection.once('error', reject);
	connection.once('close', () => {
		finish();
		reject(cut());
	});
	ended.catch(() => {}); // told to whoever waits for the container
	return {stdout, stderr, ended, printedAt: splitter.printedAt};
}

function cut(): WritError {
	return unavailable('the connection to a container was cut');
}

type Streams = Readonly<Record<1 | 2, PassThrough>>;

type Splitter = {
	/** Takes the next bytes; false once they cannot be of such a stream. */
	push(chunk: Buffer): boolean;
	/** false in the middle of a header or a part */
	isWhole(): boolean;
	printedAt(): number | undefined;
};

/** Nothing is held back, however long a part is said to be. */
function createSplitter(streams: Streams): Splitter {
	const state = {header: Buffer.alloc(0), left: 0, current: streams[1]};
	const writtenAt = new Map<PassThrough, number>();
	const push = (chunk: Buffer) => {
		let rest = chunk;
		while (rest.length > 0) {
			if (state.left === 0) {
				const missing = HEADER_BYTES - state.header.length;
				state.header = Buffer.concat([state.header, rest.subarray(0, missing)]);
				rest = rest.subarray(missing);
				if (state.header.length < HEADER_BYTES) return true;
				const stream = streamOf(state.header, streams);
				if (!stream) return false;
				state.current = stream;
				state.left = state.header.readUInt32BE(LENGTH);
				state.header = Buffer.alloc(0);
				continue;
			}
			const part = rest.subarray(0, state.left);
			state.current.write(part);
			writtenAt.set(state.current, performance.now());
			state.left -= part.length;
			rest = rest.subarray(part.length);
		}
		return true;
	};
	return {push, isWhole: () => state.left === 0 && state.header.length === 0, printedAt: () => writtenAt.get(streams[2])};
}

function streamOf(header: Buffer, streams: Streams): PassThrough | undefined {
	const [number, ...zeros] = header.subarray(0, LENGTH);
	if (zeros.some((byte) => byte !== 0)) return undefined;
	return number === 1 || number === 2 ? streams[number] : undefined;
}
