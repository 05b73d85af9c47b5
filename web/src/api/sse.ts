export type Frame = {readonly event: string; readonly id: string; readonly data: string};

/** Server-sent events of a reply, as they arrive. Comments, which are heartbeats, yield nothing. */
export async function* readFrames(response: Response): AsyncIterable<Frame> {
	const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
	if (!reader) return;
	let buffer = '';
	try {
		for (;;) {
			const {value, done} = await reader.read();
			if (done) return;
			buffer += value;
			const blocks = buffer.split('\n\n');
			buffer = blocks.pop() ?? '';
			for (const block of blocks) {
				const frame = parseBlock(block);
				if (frame) yield frame;
			}
		}
	} finally {
		await reader.cancel().catch(() => {}); // it may have failed already
	}
}

function parseBlock(block: string): Frame | null {
	const fields = new Map<string, string>();
	for (const line of block.split('\n')) {
		const colon = line.indexOf(':');
		if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ''));
	}
	const data = fields.get('data');
	return data === undefined ? null : {event: fields.get('event') ?? 'message', id: fields.get('id') ?? '', data};
}
