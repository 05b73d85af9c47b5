/**
 * A query plan: a question over one dataset as data. It is compiled to one SELECT, never the other way round. This is what people
 * and models write; `parsePlan` turns it into a `QueryPlan` with all defaults. Every object is strict: an unknown key is an error.
 */
import {z} from 'zod';

/** Text operators that start with `i` ignore case. `in_last`, `older_than` and `in_period` count from the dataset's now. */
const filterOpSchema = z.enum([
	'=',
	'!=',
	'<',
	'<=',
	'>',
	'>=',
	'in',
	'not_in',
	'between',
	'contains',
	'startswith',
	'endswith',
	'iequals',
	'icontains',
	'istartswith',
	'iendswith',
	'is_null',
	'is_not_null',
	'in_last',
	'older_than',
	'in_period',
]);
export type FilterOp = z.infer<typeof filterOpSchema>;

const aggregateFuncSchema = z.enum([
	'count',
	'count_distinct',
	'sum',
	'avg',
	'min',
	'max',
	'median',
	'stddev',
	'quantile',
	'count_if',
	'rate',
]);
export type AggregateFunc = z.infer<typeof aggregateFuncSchema>;

const windowFuncSchema = z.enum([
	'row_number',
	'rank',
	'dense_rank',
	'sum',
	'avg',
	'min',
	'max',
	'count',
	'lag',
	'lead',
	'percent_of_total',
]);
export type WindowFunc = z.infer<typeof windowFuncSchema>;

/** The first six cut a time to the start of its hour, day, … ; the others are whole numbers (Monday is day_of_week 1). */
const bucketSchema = z.enum([
	'hour',
	'day',
	'week',
	'month',
	'quarter',
	'year',
	'hour_of_day',
	'day_of_week',
	'day_of_month',
	'week_of_year',
	'month_of_year',
	'quarter_of_year',
	'year_number',
]);
export type Bucket = z.infer<typeof bucketSchema>;

export const PERIODS = [
	'today',
	'yesterday',
	'this_week',
	'this_month',
	'this_quarter',
	'this_year',
	'previous_week',
	'previous_month',
	'previous_quarter',
	'previous_year',
] as const;
export type Period = (typeof PERIODS)[number];

const timeUnitSchema = z.enum(['minute', 'hour', 'day', 'week', 'month', 'quarter', 'year']);
export type TimeUnit = z.infer<typeof timeUnitSchema>;

export const EXPR_OPS = [
	'+',
	'-',
	'*',
	'/',
	'%',
	'abs',
	'round',
	'floor',
	'ceil',
	'sqrt',
	'power',
	'ln',
	'sign',
	'greatest',
	'least',
	'coalesce',
	'nullif',
	'lower',
	'upper',
	'trim',
	'length',
	'concat',
	'substring',
	'replace',
	'left',
	'right',
	'to_number',
	'to_text',
	'to_date',
	'to_timestamp',
	'date_diff',
	'date_add',
	'now',
] as const;
export type ExprOp = (typeof EXPR_OPS)[number];

/** A calculation. A bare string is a column or a formula over columns such as `price * quantity`; text itself is `{value: "…"}`. */
export type Expr = string | number | boolean | ExprNode;
export type ExprNode = ColumnExpr | ValueExpr | CallExpr | CaseExpr | BucketExpr | AggregateExpr;
type ColumnExpr = {readonly column: string};
type ValueExpr = {readonly value: string | number | boolean | null};
export type CallExpr = {readonly op: ExprOp; readonly args: readonly Expr[]};
export type CaseExpr = {
	readonly case: readonly {readonly when: Conditions; readonly then: Expr}[];
	readonly else?: Expr | undefined;
};
export type BucketExpr = {readonly bucket: Bucket; readonly column?: string | undefined; readonly expr?: Expr | undefined};
export type AggregateExpr = {
	readonly func: AggregateFunc;
	readonly column?: string | undefined;
	readonly expr?: Expr | undefined;
	readonly if?: Conditions | undefined;
	readonly where?: Conditions | undefined;
	readonly p?: number | undefined;
};

/** A list means: all of them hold. */
export type Conditions = Condition | readonly Condition[];
export type Condition =
	| {readonly and: readonly Condition[]}
	| {readonly or: readonly Condition[]}
	| {readonly not: Condition}
	| Comparison;
export type Comparison = {
	readonly column?: string | undefined;
	readonly expr?: Expr | undefined;
	readonly op: FilterOp;
	readonly value?: FilterValue | undefined;
};
type Scalar = string | number | boolean;
export type FilterValue =
	| Scalar
	| null
	| readonly (Scalar | null)[]
	| {readonly amount: number; readonly unit: TimeUnit}
	| {readonly expr: Expr};

const scalarSchema = z.union([z.string(), z.number(), z.boolean()]);
const exprSchema: z.ZodType<Expr> = z
	.lazy(() =>
		z.union([scalarSchema, columnExprSchema, valueExprSchema, callSchema, caseSchema, bucketExprSchema, aggregateSchema]),
	)
	.meta({id: 'Expr', description: 'string = column or formula ("price * quantity"); text literal = {value}'});
const conditionSchema: z.ZodType<Condition> = z
	.lazy(() => z.union([comparisonSchema, andSchema, orSchema, notSchema]))
	.meta({id: 'Condition'});
const conditionsSchema = z.union([conditionSchema, z.array(conditionSchema)]);

const columnExprSchema = z.strictObject({column: z.string()});
const valueExprSchema = z.strictObject({value: scalarSchema.nullable()});
const callSchema = z.strictObject({op: z.enum(EXPR_OPS), args: z.array(exprSchema)});
const caseSchema = z.strictObject({
	// biome-ignore lint/suspicious/noThenProperty: the word of SQL; a value that is not a function is never taken for a promise
	case: z.array(z.strictObject({when: conditionsSchema, then: exprSchema})).min(1),
	else: exprSchema.optional(),
});
const bucketExprSchema = z.strictObject({bucket: bucketSchema, column: z.string().optional(), expr: exprSchema.optional()});
const aggregateSchema = z.strictObject({
	func: aggregateFuncSchema,
	column: z.string().optional().describe('absent or "*" only for count'),
	expr: exprSchema.optional(),
	if: conditionsSchema.optional().describe('for count_if, rate: rate = percentage (0-100) of rows for which it holds'),
	where: conditionsSchema.optional().describe('aggregate only these rows'),
	p: z.number().min(0).max(1).optional().describe('for quantile'),
});

const andSchema = z.strictObject({and: z.array(conditionSchema).min(1)});
const orSchema = z.strictObject({or: z.array(conditionSchema).min(1)});
const notSchema = z.strictObject({not: conditionSchema});
const comparisonSchema = z.strictObject({
	column: z.string().optional(),
	expr: exprSchema.optional(),
	op: filterOpSchema,
	value: z
		.union([
			scalarSchema,
			z.null(),
			z.array(scalarSchema.nullable()),
			z.strictObject({amount: z.int().min(1).max(100_000), unit: timeUnitSchema}),
			z.strictObject({expr: exprSchema}),
		])
		.optional()
		.describe(
			`list for in, [low, high] for between, {amount, unit} for in_last and older_than, a period such as this_month for in_period`,
		),
});

const orderBySchema = z.strictObject({
	expr: exprSchema.describe('a column, an alias of select, or a calculation'),
	direction: z.enum(['asc', 'desc']).optional(),
});

const alias = z.string().optional();
const windowSchema = z.strictObject({
	window: windowFuncSchema,
	column: z.string().optional().describe('what is summed, averaged, …: a column or an alias of select'),
	expr: exprSchema.optional(),
	partition_by: z.array(exprSchema).optional(),
	order_by: z.array(orderBySchema).optional().describe('with sum, avg, …: a running value'),
	rows: z.int().min(1).max(10_000).optional().describe('moving window of this many rows'),
	alias,
});
export type WindowItem = z.infer<typeof windowSchema>;

const selectItemSchema = z
	.union([
		z.string(),
		z.strictObject({column: z.string(), alias}),
		z.strictObject({expr: exprSchema, alias}),
		aggregateSchema.extend({alias}),
		bucketExprSchema.extend({alias}),
		windowSchema,
	])
	.meta({id: 'SelectItem'});
export type SelectItem = z.infer<typeof selectItemSchema>;

const joinSchema = z.strictObject({
	table: z.string(),
	type: z.enum(['inner', 'left']).optional(),
	on: z
		.array(z.strictObject({left: z.string(), right: z.string()}))
		.min(1)
		.optional()
		.describe('absent: the declared relationship'),
});

export const MAX_PLAN_LIMIT = 1000;
/** As many as the widest table may have. */
const MAX_SELECT = 1000;
const MAX_KEYS = 100;

export const queryPlanSchema = z.strictObject({
	dataset_id: z.string().optional(),
	table: z.string(),
	joins: z.array(joinSchema).max(8).optional(),
	select: z.array(selectItemSchema).min(1).max(MAX_SELECT).optional().describe('absent: all columns'),
	distinct: z.boolean().optional(),
	filters: conditionsSchema.optional().describe('a list means all of them; {and}, {or}, {not} nest'),
	group_by: z.array(exprSchema).max(MAX_KEYS).optional().describe('columns, aliases of select, calculations'),
	having: conditionsSchema.optional().describe('conditions on groups; column may be an alias'),
	qualify: conditionsSchema.optional().describe('conditions on windows, e.g. an alias of rank <= 3 for the top 3 per partition'),
	order_by: z.array(orderBySchema).max(MAX_KEYS).optional(),
	limit: z.int().min(1).max(MAX_PLAN_LIMIT).optional().describe('left out: all rows, of which a result shows the first'),
	notes: z.string().max(2000).optional(),
});
/** What a person, a model or the built-in planner writes. */
export type QueryPlanInput = z.infer<typeof queryPlanSchema>;

/** `left` and `right` are `table.column`; `right` belongs to `table`. */
type PlannedJoin = {
	readonly table: string;
	readonly type: 'inner' | 'left';
	readonly on: readonly {readonly left: string; readonly right: string}[];
};

/** A plan whose names, types and shape have been checked against its dataset, with every default written out. */
export type QueryPlan = {
	readonly dataset_id: string;
	readonly table: string;
	readonly joins: readonly PlannedJoin[];
	/** null means all columns */
	readonly select: readonly Exclude<SelectItem, string>[] | null;
	readonly distinct: boolean;
	readonly filters: readonly Condition[];
	readonly group_by: readonly Expr[];
	readonly having: readonly Condition[];
	readonly qualify: readonly Condition[];
	readonly order_by: readonly {readonly expr: Expr; readonly direction: 'asc' | 'desc'}[];
	/** null where nobody asked for one: all rows, cut by nothing but the row cap, which is flagged */
	readonly limit: number | null;
	readonly notes: string | null;
};

/** One thing wrong with a plan. `path` reads like `filters[0].op`; `message` says what was found and what to write. */
export type PlanProblem = {readonly path: string; readonly message: string};
