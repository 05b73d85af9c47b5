/** The server's end of `attach` and `exec`: channels over a WebSocket, as the API server speaks them. */
import type {Readable} from 'node:stream';
import type {WebSocket} from 'ws';
import type {ContainerProcess} from './cluster-kubelet.ts';

const [STDIN, STDOUT, STDERR, STATUS, CLOSE] = [0, 1, 2, 3, 255];

type Wanted = {readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean};

/** Everything from now on; `onEnd` when the client is gone. Resolves when the connection is closed. */
export async function serveStreams(
	socket: WebSocket,
	process: ContainerProcess,
	wanted: Wanted,
	kind: 'attach' | 'exec',
): Promise<void> {
	const {promise: gone, resolve} = Promise.withResolvers<void>();
	socket.once('close', resolve);
	socket.on('error', () => {});
	const send = (channel: number, bytes: Buffer) => {
		if (socket.readyState === socket.OPEN) socket.send(Buffer.concat([Buffer.of(channel), bytes]));
	};
	// The first message on each channel is empty: it says that the connection stands.
	for (const channel of [STDOUT, STDERR, STATUS]) send(channel, Buffer.alloc(0));
	const forward = (stream: Readable, channel: number) => {
		const onData = (chunk: Buffer) => send(channel, chunk);
		stream.on('data', onData);
		gone.then(() => stream.off('data', onData));
	};
	if (wanted.stdout) forward(process.stdout, STDOUT);
	if (wanted.stderr) forward(process.stderr, STDERR);
	socket.on('message', (data: Buffer) => {
		const [channel, stream] = data;
		if (channel === STDIN && wanted.stdin) process.stdin.write(data.subarray(1));
		if (channel === CLOSE && stream === STDIN && socket.protocol === 'v5.channel.k8s.io') process.stdin.end();
	});
	process.exited.then((code) => {
		send(STATUS, Buffer.from(JSON.stringify(kind === 'attach' ? success() : statusOf(code))));
		socket.close(1000);
	});
	await gone;
	if (kind === 'exec') process.signal('SIGKILL');
}

function success() {
	return {kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success'};
}

function statusOf(code: number) {
	if (code === 0) return success();
	return {
		...success(),
		status: 'Failure',
		reason: 'NonZeroExitCode',
		message: `command terminated with non-zero exit code: error executing command, exit code ${code}`,
		details: {causes: [{reason: 'ExitCode', message: String(code)}]},
	};
}
