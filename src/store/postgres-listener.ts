import pg from 'pg';
import {CHANNEL} from './postgres-append.ts';
import {connectionOptions} from './postgres-pool.ts';

type Options = {readonly onRun: (runId: string) => void; readonly onConnected: () => void};

const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 2_000;

/**
 * Hears of appends by other processes, on a connection of its own that is opened again whenever it breaks. What happened while it
 * was away is not heard: `onConnected` is the moment to read again.
 */
export class PostgresListener {
	readonly #url: string;
	readonly #options: Options;
	#client: pg.Client | null = null;
	#retry: NodeJS.Timeout | undefined;
	#delayMs = FIRST_DELAY_MS;
	#closed = false;

	constructor(url: string, options: Options) {
		this.#url = url;
		this.#options = options;
	}

	/** Never throws: a listener that cannot connect tries again. */
	async connect(): Promise<void> {
		const client = new pg.Client(connectionOptions(this.#url));
		this.#client = client;
		client.on('error', () => {}); // followed by `end`
		client.on('notification', ({payload}) => this.#options.onRun(payload ?? ''));
		client.once('end', () => this.#reconnect(client));
		try {
			await client.connect();
			await client.query(`LISTEN ${CHANNEL}`);
			this.#delayMs = FIRST_DELAY_MS;
			this.#options.onConnected();
		} catch {
			this.#reconnect(client); // the queries of the store report what is wrong with the server
		}
	}

	async close(): Promise<void> {
		this.#closed = true;
		clearTimeout(this.#retry);
		const client = this.#client;
		this.#client = null;
		await client?.end().catch(() => {}); // it may be broken already
	}

	#reconnect(client: pg.Client): void {
		if (this.#closed || this.#client !== client) return;
		this.#client = null;
		client.end().catch(() => {}); // it is broken already
		this.#retry = setTimeout(() => void this.connect(), this.#delayMs).unref();
		this.#delayMs = Math.min(this.#delayMs * 2, MAX_DELAY_MS);
	}
}
