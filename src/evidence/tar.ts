import {WritError} from '#contract/errors.ts';

const BLOCK = 512;
const MAX_NAME = 100;

/** Files as one ustar archive whose bytes depend on names and contents alone: sorted, without owners, modes or times of their own. */
export function packTar(files: ReadonlyMap<string, Uint8Array>): Buffer {
	const names = [...files.keys()].sort();
	const parts = names.flatMap((name) => {
		const content = files.get(name) ?? new Uint8Array();
		return [tarHeader(name, content.length), content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)];
	});
	return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

function tarHeader(name: string, size: number): Buffer {
	if (Buffer.byteLength(name) > MAX_NAME)
		throw new WritError('validation_error', `the name \`${name}\` is too long for an archive`);
	const header = Buffer.alloc(BLOCK);
	const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`;
	header.write(name, 0, 'utf8');
	header.write(octal(0o644, 7) + octal(0, 7) + octal(0, 7) + octal(size, 11) + octal(0, 11), 100, 'latin1');
	header.write('        0', 148, 'latin1'); // the checksum counts itself as spaces
	header.write('ustar\0' + '00', 257, 'latin1');
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
	return header;
}
