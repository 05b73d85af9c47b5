/** Transient news of a run, from whoever works on it to whoever watches it in this process. Nothing durable goes this way. */
export type News<T> = {
	publish(runId: string, news: T): void;
	/** Returns how to stop listening. */
	listen(runId: string, listener: (news: T) => void): () => void;
};

export function createNews<T>(): News<T> {
	const listeners = new Map<string, Set<(news: T) => void>>();
	return {
		publish(runId, news) {
			for (const listener of listeners.get(runId) ?? []) listener(news);
		},
		listen(runId, listener) {
			const all = listeners.get(runId) ?? new Set();
			listeners.set(runId, all.add(listener));
			return () => {
				all.delete(listener);
				if (all.size === 0) listeners.delete(runId);
			};
		},
	};
}
