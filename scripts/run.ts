/** `make run`: sample data, the server, one question through its API, and the address. Stays in the foreground until Ctrl-C. */
import {spawn, spawnSync} from 'node:child_process';
import path from 'node:path';

const writ = path.resolve(import.meta.dirname, '../bin/writ');
const port = process.env.WRIT_PORT ?? '8000';
const base = process.env.WRIT_URL ?? `http://127.0.0.1:${port}`;

const running = await isWrit();
if (!running) {
	const samples = spawnSync(writ, ['datasets', 'samples'], {stdio: 'inherit'});
	if (samples.status !== 0) process.exit(samples.status ?? 1);
}
const server = running ? null : spawn(writ, ['serve'], {stdio: 'inherit', env: {LOG_LEVEL: 'warn', ...process.env}});
server?.once('exit', (code) => process.exit(code ?? 1));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => server?.kill(signal));

for (const end = Date.now() + 60_000; !(await isWrit()); await new Promise((resolve) => setTimeout(resolve, 50))) {
	if (Date.now() > end) {
		console.error(`the server did not become ready at ${base}; see its log above`);
		server?.kill('SIGTERM');
		break;
	}
}
const question = 'What is the SLA compliance by priority?';
console.log(`\n? ${question}`);
spawnSync(writ, ['ask', question, '--dataset', 'support'], {stdio: 'inherit', env: {...process.env, WRIT_URL: base}});
console.log(`\nWrit is at ${base}${running ? ' (it was running already)' : '. Ctrl-C ends it.'}`);

async function isWrit(): Promise<boolean> {
	return fetch(`${base}/readyz`).then(
		(reply) => reply.ok,
		() => false,
	);
}
