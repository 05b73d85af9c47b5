/** A trace collector and an MLflow server in one, on a real socket; it decodes the protobuf it is sent. */
import {createServer, type IncomingMessage} from 'node:http';
import type {AddressInfo} from 'node:net';
import {buffer} from 'node:stream/consumers';
import {gunzipSync} from 'node:zlib';

export type SentSpan = {
	readonly traceId: string;
	readonly spanId: string;
	readonly parentId: string;
	readonly name: string;
	readonly ms: number;
	readonly failed: boolean;
	readonly attributes: Readonly<Record<string, string | number | boolean>>;
};

export type Collector = {
	readonly url: string;
	readonly spans: SentSpan[];
	/** method, path and experiment of each request */
	readonly requests: string[];
	close(): Promise<void>;
};

/** `behaviour` is what it does with traces: take them, refuse them, or never answer. */
export async function openCollector(behaviour: 'take' | 'refuse' | 'hang' = 'take'): Promise<Collector> {
	const spans: SentSpan[] = [];
	const requests: string[] = [];
	const server = createServer(async (request, response) => {
		const body = await readBody(request);
		requests.push([request.method, request.url, request.headers['x-mlflow-experiment-id']].filter(Boolean).join(' '));
		if (request.url?.startsWith('/api/2.0/mlflow/experiments/get-by-name')) return response.writeHead(404).end('{}');
		if (request.url === '/api/2.0/mlflow/experiments/create') return response.end('{"experiment_id":"7"}');
		if (behaviour === 'hang') return;
		if (behaviour === 'refuse') return response.writeHead(400).end();
		spans.push(...decodeSpans(body));
		response.writeHead(200, {'content-type': 'application/x-protobuf'}).end();
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const {port} = server.address() as AddressInfo;
	const close = () =>
		new Promise<void>((resolve) => {
			server.close(() => resolve());
			server.closeAllConnections();
		});
	return {url: `http://127.0.0.1:${port}`, spans, requests, close};
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
	const body = await buffer(request);
	return request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
}

type Field = {readonly number: number; readonly value: bigint | Buffer};

/** The protobuf wire format: varints, 64-bit values and length-delimited fields. */
function* fieldsOf(message: Buffer): Iterable<Field> {
	const at = {offset: 0};
	const varint = () => {
		let value = 0n;
		for (let shift = 0n; ; shift += 7n) {
			const byte = message.readUInt8(at.offset);
			at.offset += 1;
			value |= BigInt(byte & 0x7f) << shift;
			if (byte < 0x80) return value;
		}
	};
	const take = (length: number) => {
		at.offset += length;
		return message.subarray(at.offset - length, at.offset);
	};
	while (at.offset < message.length) {
		const tag = varint();
		const kind = Number(tag & 7n);
		const value =
			kind === 0
				? varint()
				: kind === 1
					? take(8).readBigUInt64LE()
					: kind === 5
						? BigInt(take(4).readUInt32LE())
						: take(Number(varint()));
		yield {number: Number(tag >> 3n), value};
	}
}

function all(message: Buffer, number: number): Buffer[] {
	return [...fieldsOf(message)].filter((field) => field.number === number).map(({value}) => value as Buffer);
}

function decodeSpans(request: Buffer): SentSpan[] {
	return all(request, 1)
		.flatMap((resource) => all(resource, 2))
		.flatMap((scope) => all(scope, 2))
		.map((span) => {
			const one = new Map([...fieldsOf(span)].map(({number, value}) => [number, value]));
			const hex = (number: number) => ((one.get(number) as Buffer | undefined) ?? Buffer.alloc(0)).toString('hex');
			const status = one.get(15) as Buffer | undefined;
			return {
				traceId: hex(1),
				spanId: hex(2),
				parentId: hex(4),
				name: String(one.get(5)),
				ms: Number((one.get(8) as bigint) - (one.get(7) as bigint)) / 1e6,
				failed: status !== undefined && [...fieldsOf(status)].some(({number, value}) => number === 3 && value === 2n),
				attributes: Object.fromEntries(all(span, 9).map(decodeAttribute)),
			};
		});
}

function decodeAttribute(pair: Buffer): [string, string | number | boolean] {
	const [key, value] = [all(pair, 1)[0], all(pair, 2)[0]];
	const [field] = [...fieldsOf(value ?? Buffer.alloc(0))];
	const {number, value: held} = field ?? {number: 1, value: Buffer.alloc(0)};
	if (number === 1) return [String(key), String(held)];
	if (number === 2) return [String(key), held === 1n];
	if (number === 3) return [String(key), Number(held)];
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(held as bigint);
	return [String(key), bytes.readDoubleLE()];
}
