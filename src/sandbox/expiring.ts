/** A sandbox that waits only so long, where whatever it is made of ends by itself some time later. */
import type {Sandbox} from './sandbox.ts';

/** Ended when nobody used it within `limitMs`: it makes room for one that has all its time ahead. */
export function replacedAfter(sandbox: Sandbox, limitMs: number): Sandbox {
	const timer = setTimeout(() => void sandbox.dispose().catch(() => {}), limitMs); // told by `ended` too
	timer.unref();
	sandbox.ended.finally(() => clearTimeout(timer)).catch(() => {});
	return {
		...sandbox,
		run(...run) {
			clearTimeout(timer);
			return sandbox.run(...run);
		},
	};
}
