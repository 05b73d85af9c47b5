/** What the platform keeps of itself and of others, and how long: the audit outside of runs, holds and retention. */
import {randomUUID} from 'node:crypto';
import {createAuditRecorder, type RecordAudit} from '#agents/audit-record.ts';
import type {HeldBy} from './dataset-holds.ts';
import {createHolds, type Holds} from './holds.ts';
import type {Platform} from './platform.ts';
import {createRetention, KEEPER, type Retention} from './retention.ts';

export type Keeping = {readonly recordAudit: RecordAudit; readonly holds: Holds; readonly retention: Retention};

type Parts = Pick<Platform, 'store' | 'runs' | 'kernel' | 'files' | 'datasets' | 'policy' | 'sweep'> & {
	readonly heldBy: HeldBy;
	readonly software: string;
	readonly needsSecond: (tenant: string) => boolean;
};

export function createKeeping({software, needsSecond, ...parts}: Parts): Keeping {
	const {store, runs, kernel, files, datasets, heldBy, policy, sweep} = parts;
	const ports = {runs, kernel, software};
	const recordAudit = createAuditRecorder(ports);
	const retention = createRetention({
		...{...ports, store, files, datasets, heldBy, sweep, recordAudit, clock: kernel.clock, holder: `writ-${randomUUID()}`},
		policy: () => policy.current().document.retention,
	});
	return {recordAudit, holds: createHolds({...ports, store, needsSecond}), retention};
}

/** Erases what is due now and then, until stopped. `report` hears of failures; that another server does it is none. */
export function keepErasing({retention}: Keeping, minutes: number, report: (error: unknown) => void): () => Promise<void> {
	if (minutes === 0) return async () => {};
	const pass = {now: Promise.resolve()};
	const start = () => {
		pass.now = pass.now
			.then(async () => {
				for (let isDone = false; !isDone; ) isDone = (await retention.run(null, KEEPER)).isDone;
			})
			.catch((error: unknown) => {
				if ((error as {code?: unknown}).code !== 'conflict') report(error);
			});
	};
	const timer = setInterval(start, minutes * 60_000);
	return async () => {
		clearInterval(timer);
		await pass.now;
	};
}
