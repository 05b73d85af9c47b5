import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import {defineConfig} from 'vite';

const API = /^\/(api|chat|runs|datasets|threads|healthz|readyz|metrics|docs|openapi\.json)(\/|\?|$)/;

/** The page is one entry with a chunk per route; charts load when first looked at. Development borrows the API of a running server. */
export default defineConfig({
	root: import.meta.dirname,
	plugins: [react(), tailwindcss()],
	build: {
		outDir: 'dist',
		emptyOutDir: true,
		target: 'es2024',
		cssTarget: ['chrome125', 'firefox128', 'safari18'],
		// The page's policy allows no data: fonts, and small files are cheap over one connection.
		assetsInlineLimit: 0,
		modulePreload: {polyfill: false},
		chunkSizeWarningLimit: 1_000,
	},
	server: {
		host: '127.0.0.1',
		proxy: {
			[API.source]: {
				target: 'http://127.0.0.1:8000',
				changeOrigin: true,
				// Addresses a person opens belong to the page, as they do in the server.
				bypass: (request) => (request.headers.accept?.includes('text/html') ? '/index.html' : undefined),
			},
		},
	},
});
