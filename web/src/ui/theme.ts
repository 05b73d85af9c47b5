import {useSyncExternalStore} from 'react';
import {createStore, useStore} from './store.ts';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'writTheme';
const stored = localStorage.getItem(KEY);
const theme = createStore<Theme>(stored === 'light' || stored === 'dark' ? stored : 'system');
const preference = matchMedia('(prefers-color-scheme: dark)');

export function setTheme(next: Theme): void {
	if (next === 'system') {
		localStorage.removeItem(KEY);
		delete document.documentElement.dataset.theme;
	} else {
		localStorage.setItem(KEY, next);
		document.documentElement.dataset.theme = next;
	}
	theme.set(next);
}

export const useTheme = () => useStore(theme);

export function useDark(): boolean {
	const preferred = useSyncExternalStore(followPreference, () => preference.matches);
	const chosen = useTheme();
	return chosen === 'system' ? preferred : chosen === 'dark';
}

function followPreference(listener: () => void): () => void {
	preference.addEventListener('change', listener);
	return () => preference.removeEventListener('change', listener);
}
