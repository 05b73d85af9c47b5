import {createWriteStream, openAsBlob} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {Readable} from 'node:stream';
import {text} from 'node:stream/consumers';
import {pipeline} from 'node:stream/promises';
import type {ReadableStream as WebStream} from 'node:stream/web';
import type {Io} from './io.ts';

type Streams = {readonly stdout: NodeJS.WriteStream; readonly stderr: NodeJS.WriteStream; readonly stdin: NodeJS.ReadStream};

/** The terminal this process has. Colours and progress are for people: neither goes into a pipe, nor past NO_COLOR. */
export function openTerminal({stdout, stderr, stdin}: Streams, cwd: string): Io {
	// A reader that has seen enough, such as `head`, ends the output and is no error.
	stdout.on('error', (error: NodeJS.ErrnoException) => {
		if (error.code !== 'EPIPE') throw error;
	});
	return {
		out: (chunk) => void stdout.write(chunk),
		err: (chunk) => void stderr.write(chunk),
		columns: stdout.isTTY ? stdout.columns : Number.POSITIVE_INFINITY,
		colour: stdout.isTTY ? stdout.hasColors() : false,
		interactive: stderr.isTTY ?? false,
		stdin: () => text(stdin),
		readFile: (path) => readFile(path, 'utf8'),
		readBytes: (path) => readFile(path),
		openBlob: (path) => openAsBlob(path),
		writeFile: (path, body) => pipeline(Readable.fromWeb(body as WebStream<Uint8Array>), createWriteStream(path)),
		cwd,
	};
}
