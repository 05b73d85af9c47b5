import {useSyncExternalStore} from 'react';

export type Store<T> = {
	get(): T;
	set(value: T): void;
	subscribe(listener: () => void): () => void;
};

/** A value that components follow and plain code may change. */
export function createStore<T>(initial: T): Store<T> {
	const state = {value: initial};
	const listeners = new Set<() => void>();
	return {
		get: () => state.value,
		set(value) {
			state.value = value;
			for (const listener of listeners) listener();
		},
		subscribe(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
	};
}

export function useStore<T>(store: Store<T>): T {
	return useSyncExternalStore(store.subscribe, store.get);
}
