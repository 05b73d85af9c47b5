/** What the proxy did, for the evidence, and how many bytes it may still carry. */
import type {EgressDecision} from '#contract/sandbox.ts';

/** Who is asked for, as far as it is known. */
export type Subject = {readonly host: string; readonly port: number; readonly request: string | null};

export type Ending = {readonly reason: string; readonly address?: string | null; readonly verdict?: EgressDecision['verdict']};

/** One request or tunnel that was let out. */
export type Passage = {
	/** Takes `bytes` from what is left; false when it was not enough, and then nothing more may pass. */
	up(bytes: number): boolean;
	down(bytes: number): boolean;
	/** The first end counts. */
	end(ending?: Partial<Ending>): void;
};

export type Ledger = {
	refuse(subject: Subject, ending: Ending): void;
	pass(subject: Subject, rule: number, address: string): Passage;
	/** Ends every passage that is still open. */
	close(): void;
};

type LedgerOptions = {
	readonly maxBytes: number;
	readonly onDecision: (decision: EgressDecision) => void;
	/** called once, when the bytes are used up */
	readonly onExceeded: () => void;
};

const MAX_TEXT = 255;

export function createLedger({maxBytes, onDecision, onExceeded}: LedgerOptions): Ledger {
	const state = {bytes: 0, exceeded: false};
	const open = new Set<Passage>();
	const take = (bytes: number) => {
		state.bytes += bytes;
		if (state.bytes <= maxBytes) return true;
		if (!state.exceeded) onExceeded();
		state.exceeded = true;
		return false;
	};
	return {
		refuse: (subject, {reason, address = null, verdict = 'refused'}) =>
			onDecision({...plain(subject), address, verdict, rule: null, reason, bytesUp: 0, bytesDown: 0}),
		pass(subject, rule, address) {
			const counted = {bytesUp: 0, bytesDown: 0};
			const passage: Passage = {
				up: (bytes) => take(bytes) && count('bytesUp', bytes),
				down: (bytes) => take(bytes) && count('bytesDown', bytes),
				end({reason = 'allowed', verdict = 'allowed'} = {}) {
					if (!open.delete(passage)) return;
					onDecision({...plain(subject), address, verdict, rule, reason, ...counted});
				},
			};
			const count = (direction: keyof typeof counted, bytes: number) => {
				counted[direction] += bytes;
				return true;
			};
			open.add(passage);
			return passage;
		},
		close() {
			for (const passage of open) passage.end({reason: 'the run ended first'});
		},
	};
}

/** What the code inside wrote, harmless to a log and bounded. */
function plain({host, port, request}: Subject): Subject {
	return {host: printable(host), port, request: request === null ? null : printable(request)};
}

function printable(text: string): string {
	return text.slice(0, MAX_TEXT).replace(/[^\x20-\x7e]/g, '?');
}
