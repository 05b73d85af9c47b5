/** The eighteen questions that the sample datasets suggest, as plans; for tests only. */
import type {Dataset} from '#contract/dataset.ts';
import type {QueryPlanInput} from '#contract/query-plan.ts';
import {ecommerce, sensors, support} from './test-datasets.ts';

export const SUGGESTED: readonly (readonly [question: string, dataset: Dataset, plan: QueryPlanInput])[] = [
	[
		'ten products with the highest revenue',
		ecommerce,
		{
			table: 'order_items',
			joins: [{table: 'inventory'}],
			select: [
				'order_items.product_id',
				'name',
				{func: 'sum', expr: 'price * quantity * (1 - discount / 100)', alias: 'revenue'},
			],
			group_by: ['order_items.product_id', 'name'],
			order_by: [{expr: 'revenue', direction: 'desc'}],
			limit: 10,
		},
	],
	[
		'return rate per category',
		ecommerce,
		{
			table: 'order_items',
			joins: [{table: 'orders'}],
			select: [
				'category',
				{func: 'count_distinct', column: 'order_items.order_id', alias: 'orders'},
				{
					func: 'count_distinct',
					column: 'order_items.order_id',
					where: {column: 'returned', op: '=', value: true},
					alias: 'returned_orders',
				},
				{expr: 'round(100 * returned_orders / orders, 2)', alias: 'return_rate'},
			],
			group_by: ['category'],
			order_by: [{expr: 'return_rate', direction: 'desc'}],
		},
	],
	[
		'mean discount per category',
		ecommerce,
		{
			table: 'order_items',
			select: ['category', {func: 'avg', column: 'discount', alias: 'mean_discount'}, {func: 'count', alias: 'items'}],
			filters: [{column: 'discount', op: '>', value: 0}],
			group_by: ['category'],
			order_by: [{expr: 'mean_discount', direction: 'desc'}],
		},
	],
	[
		'Electronics products with stock below 20',
		ecommerce,
		{
			table: 'inventory',
			select: ['product_id', 'name', 'stock'],
			filters: [
				{column: 'category', op: '=', value: 'Electronics'},
				{column: 'stock', op: '<', value: 20},
			],
			order_by: [{expr: 'stock', direction: 'asc'}],
		},
	],
	[
		'twenty customers with the highest total spend',
		ecommerce,
		{
			table: 'orders',
			select: ['customer_id', {func: 'sum', column: 'total', alias: 'spend'}, {func: 'count', column: '*', alias: 'orders'}],
			filters: [{column: 'status', op: '=', value: 'completed'}],
			group_by: ['customer_id'],
			order_by: [{expr: 'spend', direction: 'desc'}],
			limit: 20,
		},
	],
	[
		'returned orders above 100 in the past month',
		ecommerce,
		{
			table: 'orders',
			filters: [
				{column: 'returned', op: '=', value: true},
				{column: 'total', op: '>', value: 100},
				{column: 'order_date', op: 'in_last', value: {amount: 30, unit: 'day'}},
			],
			order_by: [{expr: 'total', direction: 'desc'}],
		},
	],
	[
		'SLA compliance per priority',
		support,
		{
			table: 'tickets',
			select: ['priority', {func: 'count', alias: 'tickets'}, {func: 'rate', column: 'sla_met', alias: 'sla_percent'}],
			filters: [{column: 'status', op: 'in', value: ['Resolved', 'Closed']}],
			group_by: ['priority'],
			order_by: [{expr: 'sla_percent', direction: 'asc'}],
		},
	],
	[
		'mean satisfaction per category',
		support,
		{
			table: 'tickets',
			select: ['category', {func: 'avg', column: 'csat_score', alias: 'mean_csat'}],
			group_by: ['category'],
			order_by: [{expr: 'mean_csat', direction: 'desc'}],
		},
	],
	[
		'critical tickets open longest',
		support,
		{
			table: 'tickets',
			select: [
				'ticket_id',
				'created_at',
				{expr: {op: 'date_diff', args: [{value: 'hour'}, 'created_at', {op: 'now', args: []}]}, alias: 'hours_open'},
			],
			filters: [
				{column: 'priority', op: '=', value: 'Critical'},
				{column: 'status', op: '=', value: 'Open'},
			],
			order_by: [{expr: 'created_at', direction: 'asc'}],
			limit: 20,
		},
	],
	[
		'mean resolution time per category',
		support,
		{
			table: 'tickets',
			select: ['category', {func: 'avg', column: 'resolution_time_hours', alias: 'mean_hours'}],
			filters: [{column: 'resolution_time_hours', op: 'is_not_null'}],
			group_by: ['category'],
			order_by: [{expr: 'mean_hours', direction: 'desc'}],
		},
	],
	[
		'tickets that missed SLA in the past week',
		support,
		{
			table: 'tickets',
			select: ['ticket_id', 'priority', 'created_at', 'resolution_time_hours'],
			filters: [
				{column: 'sla_met', op: '=', value: false},
				{column: 'created_at', op: 'in_last', value: {amount: 7, unit: 'day'}},
			],
			order_by: [{expr: 'resolution_time_hours', direction: 'desc'}],
		},
	],
	[
		'resolved tickets with one or two stars in the past month',
		support,
		{
			table: 'tickets',
			select: ['ticket_id', 'csat_score', 'category', 'agent_id'],
			filters: [
				{column: 'status', op: '=', value: 'Resolved'},
				{column: 'csat_score', op: 'between', value: [1, 2]},
				{column: 'created_at', op: 'in_last', value: {amount: 1, unit: 'month'}},
			],
			order_by: [{expr: 'csat_score'}],
		},
	],
	[
		'anomaly count per location in the last 24 hours',
		sensors,
		{
			table: 'sensors',
			select: ['location', {func: 'count', alias: 'anomalies'}],
			filters: [
				{column: 'anomaly_flag', op: '=', value: true},
				{column: 'timestamp', op: 'in_last', value: {amount: 24, unit: 'hour'}},
			],
			group_by: ['location'],
			order_by: [{expr: 'anomalies', direction: 'desc'}],
		},
	],
	[
		'mean temperature and humidity per zone',
		sensors,
		{
			table: 'sensors',
			select: [
				'zone',
				{func: 'avg', column: 'temperature_c', alias: 'temperature'},
				{func: 'avg', column: 'humidity_pct', alias: 'humidity'},
			],
			filters: [{column: 'status', op: '=', value: 'online'}],
			group_by: ['zone'],
			order_by: [{expr: 'zone'}],
		},
	],
	[
		'high-temperature anomalies of the past week',
		sensors,
		{
			table: 'sensors',
			select: ['sensor_id', 'timestamp', 'location', 'temperature_c'],
			filters: [
				{column: 'anomaly_type', op: '=', value: 'high_temp'},
				{column: 'timestamp', op: 'in_last', value: {amount: 1, unit: 'week'}},
			],
			order_by: [{expr: 'temperature_c', direction: 'desc'}],
		},
	],
	[
		'sensors with battery under 20 percent',
		sensors,
		{
			table: 'sensors',
			select: ['sensor_id', {func: 'min', column: 'battery_pct', alias: 'battery'}],
			filters: {
				and: [
					{column: 'battery_pct', op: '<', value: 20},
					{column: 'status', op: '=', value: 'online'},
				],
			},
			group_by: ['sensor_id'],
			order_by: [{expr: 'battery'}],
		},
	],
	[
		'distribution of sensor status',
		sensors,
		{
			table: 'sensors',
			select: ['status', {func: 'count', alias: 'readings'}, {window: 'percent_of_total', column: 'readings', alias: 'percent'}],
			group_by: ['status'],
			order_by: [{expr: 'readings', direction: 'desc'}],
		},
	],
	[
		'dangerous vibration levels in the last 6 hours',
		sensors,
		{
			table: 'sensors',
			select: ['sensor_id', 'timestamp', 'location', 'vibration_mm_s'],
			filters: [
				{column: 'vibration_mm_s', op: '>', value: 15},
				{column: 'timestamp', op: 'in_last', value: {amount: 6, unit: 'hour'}},
			],
			order_by: [{expr: 'vibration_mm_s', direction: 'desc'}],
		},
	],
];
