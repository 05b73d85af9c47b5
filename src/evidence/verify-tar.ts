const BLOCK = 512;

type Unpacked = {
	readonly files: ReadonlyMap<string, Buffer>;
	readonly fault: {readonly file: string; readonly detail: string} | null;
};

/**
 * The files of an archive, which has to be byte for byte as it is exported: sorted, each name once, headers and padding that say
 * nothing but name and size. Otherwise two readers could see two archives in one. Stops at the first fault.
 */
export function unpackTar(archive: Uint8Array): Unpacked {
	const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
	const files = new Map<string, Buffer>();
	let last = '';
	let at = 0;
	const fail = (file: string, detail: string) => ({files, fault: {file: file.toWellFormed(), detail: `byte ${at}: ${detail}`}});
	while (at + BLOCK <= bytes.length && !isZero(bytes.subarray(at, at + BLOCK))) {
		const header = bytes.subarray(at, at + BLOCK);
		const name = header.subarray(0, header.indexOf(0)).toString('utf8');
		const size = Number.parseInt(header.subarray(124, 135).toString('latin1'), 8);
		if (!Number.isSafeInteger(size) || !toHeader(name, size).equals(header)) return fail(name, 'the header is not as exported');
		if (name <= last) return fail(name, 'the file is there twice or out of order');
		const end = at + BLOCK + size;
		const next = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
		if (next > bytes.length) return fail(name, 'the archive ends inside the file');
		if (!isZero(bytes.subarray(end, next))) return fail(name, 'something stands between two files');
		files.set(name, bytes.subarray(at + BLOCK, end));
		[last, at] = [name, next];
	}
	if (bytes.length - at !== 2 * BLOCK || !isZero(bytes.subarray(at))) return fail(last, 'the archive does not end as exported');
	return {files, fault: null};
}

function toHeader(name: string, size: number): Buffer {
	const header = Buffer.alloc(BLOCK);
	const sizeText = size.toString(8).padStart(11, '0');
	header.write(name.slice(0, 100), 0, 'utf8');
	header.write(`0000644\x000000000\x000000000\x00${sizeText}\x0000000000000\x00        0`, 100, 'latin1');
	header.write('ustar\x0000', 257, 'latin1');
	let sum = 0;
	for (const byte of header) sum += byte;
	header.write(`${sum.toString(8).padStart(6, '0')}\x00 `, 148, 'latin1');
	return header;
}

const NOTHING = Buffer.alloc(64 * 1024);

function isZero(bytes: Buffer): boolean {
	for (let at = 0; at < bytes.length; at += NOTHING.length)
		if (!bytes.subarray(at, at + NOTHING.length).equals(NOTHING.subarray(0, Math.min(NOTHING.length, bytes.length - at))))
			return false;
	return true;
}
