/** `policy.yaml`: everything that decides, in one document. What a file leaves out has the value written here. */
import {z} from 'zod';
import {effectSchema, riskSchema} from './event.ts';
import {modeSchema, modeScopeSchema, toolPatternSchema} from './mode.ts';
import {compilePattern} from './pattern.ts';
import {LEVELS} from './sandbox.ts';

const idSchema = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'expected an id of small letters, digits and dashes');
const labelNameSchema = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'expected a label of small letters, digits and dashes');
const toolsSchema = z.array(toolPatternSchema).min(1);
const effectsSchema = z.array(effectSchema).min(1);
const quorumSchema = z.int().min(1).max(10);

/** Which actions a rule speaks of; what is not said does not narrow it. */
const matcherSchema = z.strictObject({
	tools: toolsSchema.optional(),
	effects: effectsSchema.optional(),
	/** whether it carries data out of the platform; anything but a plain read does */
	egress: z.boolean().optional(),
});
export type Matcher = z.infer<typeof matcherSchema>;

const toolRuleSchema = z.strictObject({
	/** `observe` records what would be done and denies it, `propose` asks for each, `execute` leaves it to the other gates */
	mode: modeSchema.default('execute'),
	/** the weakest sandbox it may run in */
	sandbox: z.enum(LEVELS).optional(),
});
export type ToolRule = z.infer<typeof toolRuleSchema>;

const patternSchema = z
	.string()
	.min(1)
	.superRefine((pattern, context) => {
		try {
			compilePattern(pattern);
		} catch (error) {
			context.addIssue({code: 'custom', message: error instanceof Error ? error.message : 'not a regular expression'});
		}
	});

/** Words and patterns in the values of an input make the action at least as risky as `level`. */
const riskRuleSchema = z
	.strictObject({
		id: idSchema,
		level: riskSchema,
		...matcherSchema.shape,
		/** whole words, whatever their case */
		words: z.array(z.string().regex(/^[\p{L}\p{N}_]+$/u, 'expected one word')).default([]),
		/** regular expressions, whatever the case */
		patterns: z.array(patternSchema).default([]),
	})
	.refine(({words, patterns}) => words.length + patterns.length > 0, 'a rule without words and patterns finds nothing');
export type RiskRule = z.infer<typeof riskRuleSchema>;

const points = z.int().min(0).max(1_000);

/** How what a session did lately makes its next change riskier. A session is a thread, or a run without one. */
const sessionRiskSchema = z
	.strictObject({
		windowSeconds: z.int().min(1).max(86_400).default(300),
		points: z
			.strictObject({low: points.default(1), medium: points.default(4), high: points.default(7), critical: points.default(10)})
			.prefault({}),
		/** that many gaps shorter than `rapidSeconds` multiply the sum */
		rapidSeconds: z.number().positive().max(3_600).default(30),
		rapidGaps: z.int().min(1).max(1_000).default(2),
		rapidFactor: z.number().min(1).max(100).default(1.5),
		/** steps in a row: tools, or effects */
		escalations: z.array(z.strictObject({id: idSchema, steps: z.array(z.string().min(1)).min(2).max(10), points})).default([
			{id: 'restart-then-enter', steps: ['docker.restart', 'docker.exec'], points: 20},
			{id: 'remove-twice', steps: ['destructive', 'destructive'], points: 15},
		]),
		/** the sum from which a session is at least this risky */
		levels: z
			.strictObject({medium: points.default(10), high: points.default(25), critical: points.default(50)})
			.refine(({medium, high, critical}) => medium < high && high < critical, 'expected medium < high < critical')
			.prefault({}),
	})
	.prefault({});
export type SessionRisk = z.infer<typeof sessionRiskSchema>;

const answerSchema = z.enum(['allow', 'ask', 'ask-two', 'deny']);
const ANSWERS: readonly string[] = answerSchema.options;

const riskPolicySchema = z
	.strictObject({
		/** what each level leads to */
		decisions: z
			.strictObject({
				low: answerSchema.default('allow'),
				medium: answerSchema.default('allow'),
				high: answerSchema.default('allow'),
				critical: answerSchema.default('ask'),
			})
			.refine(
				({low, medium, high, critical}) =>
					[low, medium, high, critical].every(
						(answer, index, all) => index === 0 || ANSWERS.indexOf(answer) >= ANSWERS.indexOf(all[index - 1] ?? 'allow'),
					),
				'a greater risk may not be treated more lightly than a smaller one',
			)
			.prefault({}),
		rules: z.array(riskRuleSchema).default([
			{
				id: 'production',
				level: 'high',
				effects: ['write', 'destructive'],
				words: ['prod', 'production', 'master', 'release', 'deploy', 'rollback', 'migration'],
				patterns: [],
			},
			{
				id: 'destruction',
				level: 'high',
				effects: ['write', 'destructive'],
				words: ['truncate', 'destroy', 'sudo'],
				patterns: ['\\bdelete\\s+from\\b', '\\bdrop\\s+table\\b', '\\brm\\s+-rf\\b'],
			},
		]),
		/** the longest list in the input of a change from which its blast radius is this risk */
		blast: z.strictObject({high: z.int().min(1).default(10), critical: z.int().min(1).default(100)}).prefault({}),
		session: sessionRiskSchema,
	})
	.prefault({});

const runBudgetSchema = z
	.strictObject({
		actions: z.int().min(1).max(10_000).default(12),
		/** of the model */
		calls: z.int().min(1).max(10_000).default(100),
		/** of calls of the model that failed */
		retries: z.int().min(1).max(10_000).default(20),
		tokens: z.int().min(1).max(100_000_000).default(200_000),
		/** US dollars; 1 when it is not said, and then a model without a known price is asked all the same */
		money: z.number().positive().max(10_000).optional(),
		/** that actions returned */
		bytes: z
			.int()
			.min(1)
			.default(2 ** 30),
		/** from its start, waiting for people not counted */
		seconds: z.int().min(1).max(86_400).default(180),
	})
	.prefault({});

const amount = z.int().min(0).optional();
/** What all runs of a tenant may use up within a window; what is not said is not limited. */
const tenantBudgetSchema = z.strictObject({
	window: z.enum(['hour', 'day', 'month']).default('day'),
	runs: amount,
	/** runs at the same time */
	concurrency: amount,
	tokens: amount,
	/** US dollars */
	money: z.number().min(0).optional(),
	/** that actions of its runs returned */
	bytes: amount,
	/** bytes of the datasets and files that are kept, at any time rather than within the window */
	storage: amount,
});
export type TenantBudget = z.infer<typeof tenantBudgetSchema>;

const peopleSchema = z.array(z.string().min(1).max(200)).max(1_000);
const approvalRuleSchema = z.strictObject({id: idSchema, ...matcherSchema.shape, quorum: quorumSchema});
const approvalsPolicySchema = z
	.strictObject({
		approveWithinSeconds: z.int().min(1).max(2_592_000).default(3_600),
		executeWithinSeconds: z.int().min(1).max(2_592_000).default(300),
		/** distinct people who have to approve whatever is asked */
		quorum: quorumSchema.default(1),
		/** more people for some actions; the greatest number counts */
		rules: z.array(approvalRuleSchema).default([]),
		/** people who may answer; without it those of WRIT_APPROVERS, or else everybody of the tenant */
		approvers: peopleSchema.optional(),
		/** people who are asked too when nobody has answered for a while; without it those of WRIT_ESCALATE_TO */
		escalateTo: peopleSchema.optional(),
		/** the part of the time to answer after which they are; without it WRIT_ESCALATE_AFTER */
		escalateAfter: z.number().min(0.01).max(0.99).optional(),
		/** grants of one person within so many seconds, from which on each wants a reason; without it the settings WRIT_GRANTS_IN_WINDOW and WRIT_GRANT_WINDOW_SECONDS */
		fatigue: z.strictObject({grants: z.int().min(1).max(10_000), windowSeconds: z.int().min(1).max(86_400)}).optional(),
	})
	.prefault({});

/** Gives what some tools return a label of its own, such as `customer-data`. */
const labelRuleSchema = z.strictObject({
	label: labelNameSchema,
	tools: toolsSchema,
	/** ids of what was read, e.g. of a dataset; without it any */
	resources: z.array(z.string().min(1)).min(1).optional(),
});

/** After something happened in the thread, what matches is asked for or denied, whatever a text says. */
const sequenceRuleSchema = z
	.strictObject({
		id: idSchema,
		reason: z.string().min(1).optional(),
		after: z
			.strictObject({
				label: labelNameSchema.optional(),
				tools: toolsSchema.optional(),
				within: z.enum(['run', 'thread']).default('thread'),
			})
			.refine(({label, tools}) => label !== undefined || tools !== undefined, 'say after what: a label, or tools'),
		ask: matcherSchema.optional(),
		deny: matcherSchema.optional(),
	})
	.refine(({ask, deny}) => (ask === undefined) !== (deny === undefined), 'say either `ask` or `deny`');
export type SequenceRule = z.infer<typeof sequenceRuleSchema>;

/** Stricter modes for what each names; whatever people set besides, the strictest that applies counts. */
const modeRuleSchema = modeScopeSchema.extend({mode: modeSchema});

export const policyDocumentSchema = z
	.strictObject({
		version: z.literal(1),
		/** modes of tenants, agents and tools; one that names none of them is for everybody */
		modes: z.array(modeRuleSchema).optional(),
		/** the tools there are; without it every tool that is switched on, in the mode `execute` */
		tools: z.record(toolPatternSchema, toolRuleSchema).optional(),
		risk: riskPolicySchema,
		budgets: z.strictObject({run: runBudgetSchema, tenant: tenantBudgetSchema.optional()}).prefault({}),
		approvals: approvalsPolicySchema,
		flow: z
			.strictObject({labels: z.array(labelRuleSchema).default([]), rules: z.array(sequenceRuleSchema).default([])})
			.prefault({}),
		/** who may do what, in Cedar: the built-in rules, then these */
		cedar: z
			.strictObject({
				builtin: z.boolean().default(true),
				rules: z.string().default(''),
				files: z.array(z.string().min(1)).default([]),
			})
			.prefault({}),
		retention: z
			.strictObject({
				/** how long finished runs are kept; without it for good */
				days: z.int().min(1).max(36_500).optional(),
				/** for some longer or shorter; the first that matches counts */
				rules: z
					.array(
						z.strictObject({
							id: idSchema,
							days: z.int().min(1).max(36_500),
							tenants: z.array(z.string().min(1)).min(1).optional(),
							jobs: z
								.array(z.enum(['analyst', 'quality', 'ops', 'fleet', 'system']))
								.min(1)
								.optional(),
						}),
					)
					.default([]),
				/** runs, threads and tenants that are kept whatever their age */
				legalHold: z.array(z.string().min(1)).default([]),
			})
			.prefault({}),
	})
	.superRefine(({risk, approvals, flow, retention}, context) => {
		const lists = [
			[['risk', 'rules'], risk.rules],
			[['risk', 'session', 'escalations'], risk.session.escalations],
			[['approvals', 'rules'], approvals.rules],
			[['flow', 'rules'], flow.rules],
			[['retention', 'rules'], retention.rules],
		] as const;
		for (const [path, list] of lists) {
			for (const [index, {id}] of list.entries()) {
				if (list.findIndex((other) => other.id === id) === index) continue;
				context.addIssue({code: 'custom', path: [...path, index, 'id'], message: `there are two rules with the id \`${id}\``});
			}
		}
	});
export type PolicyDocument = z.infer<typeof policyDocumentSchema>;
export type PolicyInput = z.input<typeof policyDocumentSchema>;
