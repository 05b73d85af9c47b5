import assert from 'node:assert/strict';
import {after, test} from 'node:test';
import {z} from 'zod';
import {createEngineDouble} from '../doubles/docker-engine.ts';
import {createDockerApi, statusOf} from './api.ts';

const engine = await createEngineDouble();
const api = createDockerApi(engine.host);
after(() => engine.close());
const failing = (path: string, options = {}) => api.call('GET', path, z.looseObject({}), options);

test('an answer is parsed', async () => {
	assert.equal((await api.call('GET', '/info', z.looseObject({Driver: z.string()}))).Driver, 'overlay2');
	assert.equal(await api.call('GET', '/_ping', z.string()), 'OK');
});

test('a refusal carries the status and what the engine said', async () => {
	const refusal = await failing('/containers/none/json').catch((error) => error);
	assert.deepEqual(
		[refusal.code, refusal.message, statusOf(refusal)],
		['sandbox_unavailable', 'the container engine: it refused `GET /containers/none/json`: No such container: none', 404],
	);
	assert.equal(statusOf(new Error('another')), undefined);
});

for (const [said, hint] of [
	['write /var/lib: no space left on device', 'free some disk space, for instance with `docker system prune`'],
	['No such image: writ-runner:1', 'run `scripts/docker.sh image`, which builds the image of the runners'],
	['unknown or invalid runtime name: runsc', 'register the runtime with the engine, or ask for another'],
	['something else', 'run `writ doctor`, which says what the sandbox needs'],
] as const)
	test(`the hint of \`${said}\` is to ${hint}`, async () => {
		engine.answer('GET /refused', (_, response) => response.writeHead(500).end(JSON.stringify({message: said})));
		await assert.rejects(failing('/refused'), {
			code: 'sandbox_unavailable',
			message: `the container engine: it refused \`GET /refused\`: ${said}`,
			hint,
			details: {status: 500},
		});
	});

test('an engine that accepts and never answers is given up', async () => {
	engine.answer('GET /hung', () => {});
	await assert.rejects(failing('/hung', {limitMs: 50}), {
		code: 'sandbox_unavailable',
		message: 'the container engine: it did not answer `GET /hung` within 50 ms',
		hint: 'restart the container engine, for instance with `sudo systemctl restart docker`',
	});
});

test('so is one that stops in the middle of an answer', async () => {
	engine.answer('GET /half', (_, response) => void response.writeHead(200).write('{"Driver":'));
	await assert.rejects(failing('/half', {limitMs: 50}), {
		message: 'the container engine: it did not answer `GET /half` within 50 ms',
	});
});

test('a connection that breaks is an error, before the answer and in it', async () => {
	engine.answer('GET /broken', (request) => request.socket.destroy());
	engine.answer('GET /torn', (request, response) => {
		response.writeHead(200).write('{');
		setImmediate(() => request.socket.destroy());
	});
	for (const path of ['/broken', '/torn'])
		await assert.rejects(failing(path), {code: 'sandbox_unavailable', message: /the connection to it broke/});
});

test('an answer without end is not read to it', async () => {
	engine.answer('GET /endless', (_, response) => {
		const more = () => void (response.writable && response.write(Buffer.alloc(2 ** 20, 32), more));
		more();
	});
	await assert.rejects(failing('/endless'), {message: 'the container engine: it answered with more than 8388608 bytes'});
});

test('an answer of another shape is an error', async () => {
	engine.answer('GET /shape', (_, response) => response.end('<html>'));
	await assert.rejects(failing('/shape'), {message: 'the container engine: it answered `GET /shape` with something else'});
});

test('a call is cancelled by its signal', async () => {
	engine.answer('GET /slow', () => {});
	const cancel = new AbortController();
	const calling = failing('/slow', {signal: cancel.signal});
	cancel.abort();
	await assert.rejects(calling, {code: 'cancelled'});
	await assert.rejects(failing('/info', {signal: AbortSignal.abort()}), {code: 'cancelled'});
});

test('an engine that is not there says how to start it', async () => {
	await assert.rejects(createDockerApi('unix:///nonexistent/docker.sock').call('GET', '/_ping', z.unknown()), {
		code: 'sandbox_unavailable',
		message: 'the container engine: it is not running',
		hint: 'start it, for instance with `sudo systemctl start docker`, or set DOCKER_HOST to where it listens',
	});
});

test('an engine on another machine is refused', async () => {
	await assert.rejects(createDockerApi('tcp://10.0.0.1:2375').call('GET', '/_ping', z.unknown()), {
		message: 'the container engine: `tcp://10.0.0.1:2375` is not on this machine, and could not mount what a run reads',
		hint: 'set DOCKER_HOST to a `unix://` address',
	});
});

test('a connection that is not given up is refused', async () => {
	await assert.rejects(api.hijack('/containers/none/attach'), {code: 'sandbox_unavailable', details: {status: 404}});
	engine.answer('POST /containers', () => {});
});
