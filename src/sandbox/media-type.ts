/** What a file is by its first bytes. Only forms that nobody mistakes for another; all else is text or bytes. */
const SIGNATURES: readonly (readonly [mediaType: string, at: number, bytes: string])[] = [
	['image/png', 0, '89504e470d0a1a0a'],
	['image/jpeg', 0, 'ffd8ff'],
	['image/gif', 0, '47494638'],
	['image/webp', 8, '57454250'],
	['video/webm', 0, '1a45dfa3'],
	['application/pdf', 0, '255044462d'],
	['application/zip', 0, '504b0304'],
	['application/gzip', 0, '1f8b'],
	['application/vnd.apache.parquet', 0, '50415231'],
	['application/x-elf', 0, '7f454c46'],
];

/** `head` is the beginning of the file, 512 bytes of it if there are as many. */
export function sniffMediaType(head: Buffer): string {
	for (const [mediaType, at, bytes] of SIGNATURES) {
		const signature = Buffer.from(bytes, 'hex');
		if (head.subarray(at, at + signature.length).equals(signature)) return mediaType;
	}
	return isText(head) ? 'text/plain' : 'application/octet-stream';
}

/** Never `text/html` or an image of text: what is shown must not run. */
function isText(head: Buffer): boolean {
	if (head.some((byte) => byte < 0x20 && ![0x09, 0x0a, 0x0c, 0x0d].includes(byte))) return false;
	const text = new TextDecoder('utf-8').decode(head);
	// The last character may have been cut in two.
	return !text.slice(0, -1).includes('\ufffd');
}
