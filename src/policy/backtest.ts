import type {BacktestReply, DecisionChange} from '#contract/policy-api.ts';
import type {Policy} from '#kernel/ports.ts';
import {decideAgain, gist, type Past} from './replay.ts';

const MAX_CHANGES = 1_000;

/** Takes past decisions again under another policy, and keeps those that come out differently. */
export function createBacktest(policy: Policy): {add(run: readonly Past[]): void; result(): BacktestReply} {
	const changes: DecisionChange[] = [];
	const counts = new Map<string, number>();
	const seen = {runs: 0, examined: 0, skipped: 0, unchanged: 0};
	const examine = (past: Past) => {
		if (past.judged === null) {
			seen.skipped += 1;
			return;
		}
		seen.examined += 1;
		const [before, after] = [gist(past.recorded), gist(decideAgain(past.judged, policy))];
		if (before.effect === after.effect && before.quorum === after.quorum) {
			seen.unchanged += 1;
			return;
		}
		const kind = `${nameOf(before)} to ${nameOf(after)}`;
		counts.set(kind, (counts.get(kind) ?? 0) + 1);
		const {runId, actionId, at, tool, principal} = past;
		if (changes.length < MAX_CHANGES) changes.push({runId, actionId, at, tool, principal, before, after});
	};
	return {
		add(run) {
			seen.runs += 1;
			for (const past of run) examine(past);
		},
		result() {
			const {version} = policy;
			return {
				version,
				...seen,
				counts: Object.fromEntries(counts),
				changes,
				truncated: seen.examined - seen.unchanged > changes.length,
			};
		},
	};
}

function nameOf({effect, quorum}: DecisionChange['before']): string {
	return quorum > 1 ? `${effect} ${quorum}` : effect;
}
