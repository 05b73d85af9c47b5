import {closeSync, type FSWatcher, openSync, watch, writeFileSync} from 'node:fs';

/** How the servers on one SQLite file call each other at once, where PostgreSQL has a channel. */
export type Bell = {
	/** Never throws: whoever is not reached looks by themselves a little later. */
	ring(): void;
	close(): void;
};

/**
 * A file beside the database that is written to when everybody has to look now. The kernel says so to all who watch it, so nothing is
 * polled for, and commits that can wait write nothing to it.
 */
export function openBell(path: string, onRing: () => void): Bell {
	const file = `${path}-bell`;
	const watching: {watcher?: FSWatcher} = {};
	try {
		closeSync(openSync(file, 'a', 0o600));
		const watcher = watch(file, {persistent: false}, onRing);
		watching.watcher = watcher.on('error', () => watcher.close());
	} catch {
		// A file system without notices, or no more of them to be had: the poll of the store remains.
	}
	return {
		ring() {
			try {
				writeFileSync(file, `${Date.now()}\n`);
			} catch {
				// as above
			}
		},
		close: () => watching.watcher?.close(),
	};
}
