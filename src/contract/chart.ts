import {z} from 'zod';

const channelSchema = z.strictObject({
	field: z.string().optional(),
	type: z.enum(['quantitative', 'temporal', 'ordinal', 'nominal']).optional(),
	aggregate: z.enum(['count', 'sum', 'mean', 'median', 'min', 'max']).optional(),
	bin: z.boolean().optional(),
	timeUnit: z
		.enum(['year', 'yearquarter', 'yearmonth', 'yearmonthdate', 'month', 'day', 'hours', 'yearmonthdatehours'])
		.optional(),
	title: z.string().max(200).optional(),
	sort: z.union([z.enum(['ascending', 'descending', 'x', 'y', '-x', '-y']), z.null()]).optional(),
	stack: z.union([z.enum(['zero', 'normalize']), z.null()]).optional(),
	scale: z.strictObject({zero: z.boolean().optional(), type: z.enum(['linear', 'log', 'sqrt']).optional()}).optional(),
});

/**
 * A chart as a declarative subset of Vega-Lite: marks and encodings over the columns of one result. No expressions, signals,
 * transforms or data URLs; the reader joins it with the rows. `description` is the alternative text.
 */
export const chartSchema = z.strictObject({
	mark: z.enum(['bar', 'line', 'area', 'point', 'arc', 'rect', 'tick', 'boxplot']),
	title: z.string().max(200).optional(),
	description: z.string().max(1_000),
	encoding: z.strictObject({
		x: channelSchema.optional(),
		y: channelSchema.optional(),
		color: channelSchema.optional(),
		size: channelSchema.optional(),
		theta: channelSchema.optional(),
		column: channelSchema.optional(),
		tooltip: z.array(channelSchema).max(12).optional(),
	}),
});
export type Chart = z.infer<typeof chartSchema>;
