/**
 * The first program of a sandbox with a way out: carries what arrives at a local port to the proxy's socket, and runs the program of the
 * sandbox, whose end is its own. `node forwarder.ts SOCKET PORT -- PROGRAM ARGUMENTS…`. It is inside and so decides nothing.
 */
import {spawn} from 'node:child_process';
import {connect, createServer, type Socket} from 'node:net';
import {constants} from 'node:os';

const [socketPath = '', port = '', , program = '', ...parameters] = process.argv.slice(2);
const LOOPBACK = '127.0.0.1';
const SIGNALLED = 128;

const server = createServer({allowHalfOpen: true, noDelay: true}, (inner) => {
	const outer = connect({path: socketPath, allowHalfOpen: true});
	join(inner, outer);
	join(outer, inner);
});
server.listen(Number(port), LOOPBACK, start);

function join(from: Socket, to: Socket): void {
	from.pipe(to);
	from.on('error', () => to.destroy()).on('close', () => to.destroy());
}

/** Descriptor 3 is where a runner answers. */
function start(): void {
	const child = spawn(program, parameters, {stdio: ['inherit', 'inherit', 'inherit', 3]});
	child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : SIGNALLED + constants.signals[signal]));
	child.on('error', () => process.exit(127));
}
