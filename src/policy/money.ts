import type {PolicyDocument} from '#contract/policy.ts';

/** US dollars that a run may cost where the policy says nothing. */
export const RUN_MONEY = 1;

/** Whether the policy itself limits what models may cost. */
export function limitsMoney({run, tenant}: PolicyDocument['budgets']): boolean {
	return run.money !== undefined || tenant?.money !== undefined;
}
