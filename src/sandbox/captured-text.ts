/** What a runner prints is shown to people and models as text, never read as protocol. */
const MAX_BYTES = 64 * 1024;

export type CapturedText = {
	/** Takes bytes as they arrive; those beyond the cap are counted and dropped. */
	push(chunk: Buffer): void;
	/** The text so far, harmless to a terminal and to a log; says how much was left out. */
	text(): string;
};

export function createCapturedText(): CapturedText {
	const chunks: Buffer[] = [];
	const state = {kept: 0, dropped: 0};
	return {
		push(chunk) {
			const room = chunk.subarray(0, MAX_BYTES - state.kept);
			if (room.length > 0) chunks.push(room);
			state.kept += room.length;
			state.dropped += chunk.length - room.length;
		},
		text: () => toText(Buffer.concat(chunks), state.dropped),
	};
}

/** What a runner captured itself, held to the same. */
export function toCapturedText(text: string): string {
	const bytes = Buffer.from(text);
	return toText(bytes.subarray(0, MAX_BYTES), Math.max(0, bytes.length - MAX_BYTES));
}

function toText(bytes: Buffer, dropped: number): string {
	const text = sanitise(bytes.toString('utf8'));
	return dropped > 0 ? `${text}\n… ${dropped} more bytes were left out\n` : text;
}

/** Escape sequences go as a whole; so does every other control character but tab and newline, and what reorders text on screen. */
export function sanitise(text: string): string {
	return text.replaceAll('\r\n', '\n').replace(TERMINAL_SEQUENCE, '').replace(CONTROL, '');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
const TERMINAL_SEQUENCE = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
