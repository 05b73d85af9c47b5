import type {Sandbox} from './sandbox.ts';

/** What a provider has opened or is opening, so that nothing is left when it closes. */
export type OpenSandboxes = {
	/** Aborts with `signal`, and when the provider closes. */
	orClosing(signal: AbortSignal): AbortSignal;
	/** Closing waits for `opening`, however it ends. */
	track<T>(opening: Promise<T>): Promise<T>;
	add(sandbox: Sandbox): void;
	/** Resolves when every sandbox is gone; rejects with the first failure to end one. */
	close(): Promise<void>;
};

export function createOpenSandboxes(): OpenSandboxes {
	const live = new Set<Sandbox>();
	const openings = new Set<Promise<unknown>>();
	const closing = new AbortController();
	const disposeAll = () => Promise.allSettled([...live].map((sandbox) => sandbox.dispose()));
	return {
		orClosing: (signal) => AbortSignal.any([signal, closing.signal]),
		track(opening) {
			openings.add(opening);
			const done = () => openings.delete(opening);
			opening.then(done, done);
			return opening;
		},
		add(sandbox) {
			live.add(sandbox);
			sandbox.ended.finally(() => live.delete(sandbox)).catch(() => {});
		},
		async close() {
			closing.abort();
			const early = await disposeAll(); // an opening may wait for the end of what it has opened
			await Promise.allSettled(openings);
			const failed = [...early, ...(await disposeAll())].find((ending) => ending.status === 'rejected');
			if (failed) throw failed.reason;
		},
	};
}
