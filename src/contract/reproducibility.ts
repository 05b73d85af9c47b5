/** What has to be the same for a run to give the same result again, and what doing it again showed. */
import {z} from 'zod';

const digestSchema = z.string().regex(/^[0-9a-f]{64}$/);

/** Stated at the start of a run, inside its hash. What is not known is null. */
export const factsSchema = z.object({
	/** the commit that was checked out, and whether a tracked file differs from it as staged */
	code: z.object({commit: z.string().nullable(), dirty: z.boolean().nullable(), digest: digestSchema}),
	/** SHA-256 of the lock file of all dependencies */
	dependencies: digestSchema.nullable(),
	/** SHA-256 over the sources of what runs inside a sandbox, and the image, if one is named */
	runner: z.object({digest: digestSchema, image: z.string().nullable()}),
	datasets: z.array(z.object({id: z.string(), hash: z.string()})),
	/** by generator; none is fixed where nothing is named */
	seeds: z.record(z.string(), z.string()),
	policyVersion: z.string(),
	/** null for the built-in planner */
	model: z.string().nullable(),
});
export type Facts = z.infer<typeof factsSchema>;

export const replayReplySchema = z.object({
	/** the run that did it again */
	runId: z.string(),
	replayOf: z.string(),
	verdict: z.enum(['same', 'different', 'could_not']),
	reason: z.string(),
	actions: z.array(
		z.object({
			tool: z.string(),
			was: z.object({status: z.string(), digest: z.string().nullable()}),
			is: z.object({status: z.string(), digest: z.string().nullable()}),
			same: z.boolean(),
			/** the first place in the output that differs */
			difference: z.string().nullable(),
		}),
	),
	/** facts that are other than they were, whether or not they changed a result */
	changed: z.array(z.object({fact: z.string(), was: z.json(), is: z.json()})),
});
export type ReplayReply = z.infer<typeof replayReplySchema>;
