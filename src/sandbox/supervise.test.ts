import assert from 'node:assert/strict';
import {PassThrough} from 'node:stream';
import {test} from 'node:test';
import type {AnswerCall} from '#kernel/tool.ts';
import {permit, python, spec} from './fixtures/attack.ts';
import {encodeFrame} from './frames.ts';
import {type StartedRunner, supervise} from './supervise.ts';

const signal = new AbortController().signal;

/** A runner that is nothing but its pipes, and has used as much of a processor as `cpuMs` says. */
function pipes(cpuMs: () => number) {
	const [requests, frames, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
	const {promise: exited, resolve} = Promise.withResolvers<Awaited<StartedRunner['exited']>>();
	const runner = {
		...{spec: spec({limits: {wallMs: 50}}), isolation: {} as StartedRunner['isolation']},
		...{requests, frames, stdout: null, stderr, exited, cpuMs},
		kill: () => resolve({code: null, by: 'SIGKILL', exceeded: []}),
		exceeded: () => [],
		usage: () => ({cpuMs: cpuMs(), peakMemoryBytes: null}),
		processBytes: () => 0,
		async cleanUp() {},
	} satisfies StartedRunner;
	return {runner, send: (frame: object) => frames.write(encodeFrame(frame))};
}

/** A call that waits for a person: the clock stands still. */
const waiting: AnswerCall = (_call, clock) => {
	clock.pause();
	return new Promise(() => {});
};

for (const [what, perSecond, outcome] of [
	['computes', 10_000, {code: 'runner_resource_exceeded', limit: 'cpus'}],
	['only waits', 0, {code: undefined, limit: undefined}],
] as const)
	test(`code that ${what} while a call of it waits ${outcome.code ? 'uses up its processor time' : 'may wait on'}`, {
		timeout: 10_000,
	}, async () => {
		const started = performance.now();
		const {runner, send} = pipes(() => ((performance.now() - started) / 1_000) * perSecond);
		send({type: 'ready'});
		const sandbox = await supervise(runner, {warm: false, signal});
		const running = sandbox.run(permit(), python(''), signal, waiting).then(
			() => ({code: undefined, limit: undefined}),
			({code, details}) => ({code, limit: details.limit}),
		);
		send({type: 'call', id: 1, tool: 'any', input: {}});
		if (perSecond === 0) setTimeout(() => send({type: 'done', totalRows: null, truncated: null, nonFinite: 0}), 400);
		assert.deepEqual(await running, outcome);
	});
