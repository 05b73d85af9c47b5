/** Joins a sandbox and its way out: the program starts behind the forwarder, and the way ends with the run and is part of its result. */
import {WritError} from '#contract/errors.ts';
import type {EgressReport, SandboxSpec} from '#contract/sandbox.ts';
import type {SandboxResult} from '#kernel/tool.ts';
import type {Program} from '../runtime.ts';
import type {Sandbox} from '../sandbox.ts';
import type {Egress, Way} from './egress.ts';

/** What the forwarder asks for and never touches. */
const RESERVED_BYTES = 640 * 2 ** 20;

/**
 * Starts `program` by `launch`; where the spec names destinations, with a way to them. Throws `sandbox_unavailable` when there is no
 * proxy to open one with.
 */
export async function withEgress(
	spec: SandboxSpec,
	program: Program,
	egress: Egress | undefined,
	launch: (program: Program) => Promise<Sandbox>,
): Promise<Sandbox> {
	if (spec.network === 'none') return launch(program);
	if (!egress) throw new WritError('sandbox_unavailable', 'this sandbox has no way out to a network');
	const way = await egress.open(spec.network);
	try {
		return guard(await launch(behind(way, program)), way);
	} catch (error) {
		await way.close();
		throw error;
	}
}

function behind(way: Way, program: Program): Program {
	return {
		...program,
		command: way.wrap(program.command),
		mounts: [...program.mounts, ...way.mounts],
		environment: {...program.environment, ...way.environment},
		reservedBytes: Math.max(program.reservedBytes, RESERVED_BYTES),
	};
}

function guard(sandbox: Sandbox, way: Way): Sandbox {
	const ended = sandbox.ended.finally(() => way.close());
	ended.catch(() => {}); // reported by whoever disposes
	return {
		level: sandbox.level,
		ended,
		async run(permit, request, signal, answerCall) {
			const broken = new AbortController();
			const end = {error: undefined as WritError | undefined};
			void way.broken.then((error) => {
				end.error = error;
				broken.abort();
			});
			const either = AbortSignal.any([signal, broken.signal]);
			try {
				const result = await sandbox.run(permit, request, either, answerCall);
				const report = await way.close();
				if (end.error) throw end.error;
				return withReport(result, report);
			} catch (error) {
				// What was reached is evidence of a failed run too.
				throw withDetails(end.error ?? error, await way.close());
			}
		},
		async dispose() {
			await sandbox.dispose();
			await ended;
		},
	};
}

function withReport({usage, ...result}: SandboxResult, egress: EgressReport): SandboxResult {
	return {...result, usage: {...usage, egress}};
}

function withDetails(error: unknown, egress: EgressReport): unknown {
	if (!(error instanceof WritError)) return error;
	const {code, message, hint, details, cause} = error;
	return new WritError(code, message, {...(hint === undefined ? {} : {hint}), cause, details: {...details, egress}});
}
