/** What one server asks of the one that holds a run, through the store that they share. */
export type Letter = {
	readonly letterId: string;
	readonly runId: string;
	readonly body: string;
	/** whoever sent it waits until then */
	readonly until: string;
};

export type Letters = {
	/** Durable when it resolves; every server is told at once. */
	send(letter: Letter): Promise<void>;
	/** Those that nobody took and somebody still waits for. */
	waiting(now: Date): Promise<readonly Letter[]>;
	/** True for one: whoever answers it, or whoever sent it and takes it back. */
	take(letterId: string): Promise<boolean>;
	reply(letterId: string, reply: string): Promise<void>;
	/** Null while there is none. */
	replyTo(letterId: string): Promise<string | null>;
	/** Removes it, and what others left behind that nobody waits for. */
	discard(letterId: string, now: Date): Promise<void>;
	/** Calls `listener` when there may be letters or replies. Returns how to stop. */
	listen(listener: () => void): () => void;
};

export type HasLetters = {readonly letters: Letters};
