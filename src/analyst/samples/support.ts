import {apportion, createRandom, type Random} from './random.ts';
import {type Cell, type Sample, type SampleTable, toDecimal, toTimestamp} from './sample.ts';

const HOUR = 3_600_000;
const FIRST_HOUR = Date.UTC(2025, 10, 5);
const HOURS = 90 * 24;
const NOW = Date.UTC(2026, 1, 2, 23, 59, 59);
const TICKETS = 6_417;
/** Tickets per hour of a weekday, relative: most come between nine and five. */
const WEEKDAY = [4, 3, 3, 3, 3, 4, 8, 20, 40, 100, 100, 100, 100, 100, 100, 100, 100, 45, 25, 18, 14, 10, 8, 6];
const WEEKEND_PERCENT = 30;
/** What piled up over the weekend comes in on Monday morning. */
const MONDAY_MORNING_PERCENT = 220;
const MONDAY_MORNING = [8, 9, 10, 11];
const MONTH_END = 28;
const MONTH_END_BILLING_PERCENT = 30;

export const SLA_HOURS: Readonly<Record<string, number>> = {Low: 72, Medium: 24, High: 8, Critical: 4};
/** Percent of resolved tickets that met it. */
const SLA_MET: Readonly<Record<string, number>> = {Low: 95, Medium: 90, High: 80, Critical: 70};

type Score = 1 | 2 | 3 | 4 | 5;
/** Together, at the overall rate of met and missed, close to 10/15/20/35/20. */
const SCORES_MET: readonly (readonly [Score, number])[] = [
	[1, 8],
	[2, 13],
	[3, 20],
	[4, 37],
	[5, 22],
];
const SCORES_MISSED: readonly (readonly [Score, number])[] = [
	[1, 28],
	[2, 30],
	[3, 20],
	[4, 14],
	[5, 8],
];

/** Creation times, oldest first. */
function makeArrivals(): number[] {
	const random = createRandom('support/arrivals');
	const weights = Array.from({length: HOURS}, (_, index) => {
		const at = new Date(FIRST_HOUR + index * HOUR);
		return hourWeight(at.getUTCDay(), at.getUTCHours()) * random.between(60, 140);
	});
	return apportion(TICKETS, weights)
		.flatMap((count, index) => Array.from({length: count}, () => FIRST_HOUR + index * HOUR + random.below(3_600) * 1_000))
		.sort((a, b) => a - b);
}

function hourWeight(weekday: number, hour: number): number {
	const usual = WEEKDAY[hour] as number;
	if (weekday % 6 === 0) return usual * WEEKEND_PERCENT;
	return usual * (weekday === 1 && MONDAY_MORNING.includes(hour) ? MONDAY_MORNING_PERCENT : 100);
}

type Traits = {readonly category: string; readonly priority: string; readonly channel: string; readonly agent: number};

function makeTraits(random: Random): (createdAt: number) => Traits {
	const category = random.deck([
		['Technical', 40],
		['Billing', 25],
		['Account', 20],
		['Product', 15],
	]);
	const billing = random.deck([
		[true, MONTH_END_BILLING_PERCENT],
		[false, 100 - MONTH_END_BILLING_PERCENT],
	]);
	const priority = random.deck([
		['Low', 50],
		['Medium', 30],
		['High', 15],
		['Critical', 5],
	]);
	const channel = random.deck([
		['Email', 50],
		['Chat', 35],
		['Phone', 15],
	]);
	return (createdAt) => {
		const monthEnd = new Date(createdAt).getUTCDate() >= MONTH_END;
		return {
			category: monthEnd && billing() ? 'Billing' : category(),
			priority: priority(),
			channel: channel(),
			agent: random.between(101, 120),
		};
	};
}

type Ending = {
	readonly status: 'Resolved' | 'Closed';
	readonly hundredthHours: number;
	readonly met: boolean;
	readonly score: Score | null;
};

/** How a ticket ends, or null while it is open. What would end after `NOW` has not ended yet. */
function makeEndings(random: Random): (createdAt: number, priority: string) => Ending | null {
	const status = random.deck<'Resolved' | 'Open' | 'Closed'>([
		['Resolved', 77],
		['Open', 18],
		['Closed', 5],
	]);
	const met = new Map(
		Object.entries(SLA_MET).map(([priority, percent]) => {
			const deck = random.deck([
				[true, percent],
				[false, 100 - percent],
			]);
			return [priority, deck];
		}),
	);
	const answers = random.deck([
		[true, 60],
		[false, 40],
	]);
	const score = {met: random.deck(SCORES_MET), missed: random.deck(SCORES_MISSED)};
	return (createdAt, priority) => {
		const kind = status();
		if (kind === 'Open') return null;
		const onTime = met.get(priority)?.() === true;
		const hundredthHours = makeDuration((SLA_HOURS[priority] as number) * 100, onTime, random);
		if (createdAt + hundredthHours * 36_000 > NOW) return null;
		const scored = kind === 'Resolved' && answers();
		return {status: kind, hundredthHours, met: onTime, score: scored ? score[onTime ? 'met' : 'missed']() : null};
	};
}

/** On time: around half the agreed time and never above 95 % of it; late: 1.1 to 3 times. */
function makeDuration(sla: number, onTime: boolean, random: Random): number {
	if (!onTime) return random.between(Math.ceil(sla * 1.1), sla * 3);
	return Math.min(1 + random.exponential(sla / 2), Math.floor(sla * 0.95));
}

function generate(): ReadonlyMap<string, Cell[][]> {
	const random = createRandom('support/tickets');
	const [traits, ending] = [makeTraits(random), makeEndings(random)];
	const rows = makeArrivals().map((createdAt, index): Cell[] => {
		const {category, priority, channel, agent} = traits(createdAt);
		const end = ending(createdAt, priority);
		return [
			5_001 + index,
			toTimestamp(createdAt),
			end && toTimestamp(createdAt + end.hundredthHours * 36_000),
			category,
			priority,
			end?.score ?? null,
			end?.met ?? false,
			end && toDecimal(end.hundredthHours),
			end?.status ?? 'Open',
			agent,
			channel,
		];
	});
	return new Map([['tickets', rows]]);
}

const TABLES: readonly SampleTable[] = [
	{
		name: 'tickets',
		description: 'One row per ticket.',
		rows: TICKETS,
		key: ['ticket_id'],
		columns: [
			{name: 'ticket_id', type: 'integer', description: 'Number of the ticket, in order of creation', min: 5_001, max: 11_417},
			{
				name: 'created_at',
				type: 'timestamp',
				description: 'When it was opened',
				min: '2025-11-05 00:00:00',
				max: '2026-02-02 23:59:59',
			},
			{
				name: 'resolved_at',
				type: 'timestamp',
				description: 'When it was resolved; empty while it is open',
				nullable: true,
				min: '2025-11-05 00:00:00',
				max: '2026-02-02 23:59:59',
			},
			{name: 'category', type: 'text', description: 'What it is about', values: ['Technical', 'Billing', 'Account', 'Product']},
			{name: 'priority', type: 'text', description: 'How urgent it is', values: ['Low', 'Medium', 'High', 'Critical']},
			{
				name: 'csat_score',
				type: 'integer',
				description: 'Stars the customer gave, of resolved tickets whose customer answered',
				unit: 'stars',
				nullable: true,
				values: [1, 2, 3, 4, 5],
			},
			{
				name: 'sla_met',
				type: 'boolean',
				description: 'Resolved within 72 h (Low), 24 h (Medium), 8 h (High), 4 h (Critical); false while it is open',
			},
			{
				name: 'resolution_time_hours',
				type: 'decimal',
				description: 'From created_at to resolved_at',
				unit: 'h',
				nullable: true,
				min: 0.01,
				max: 216,
			},
			{name: 'status', type: 'text', description: 'Where it stands', values: ['Open', 'Resolved', 'Closed']},
			{name: 'agent_id', type: 'integer', description: 'Who works on it', min: 101, max: 120},
			{name: 'channel', type: 'text', description: 'How it came in', values: ['Email', 'Chat', 'Phone']},
		],
	},
];

export const support: Sample = {
	id: 'support',
	name: 'Support Tickets',
	description: 'Three months of a help desk: tickets with priority, agreed response times, resolution and customer satisfaction.',
	domain: 'Customer Support',
	tags: ['support', 'sla', 'csat', 'customer-service', 'tickets'],
	prompts: [
		'How often do we meet the SLA at each priority?',
		'What is the average satisfaction score by category?',
		'Which critical tickets have been open the longest?',
		'What is the average resolution time by category?',
		'Show tickets that missed their SLA in the past week',
		'Which resolved tickets got 1 or 2 stars in the past month?',
	],
	relationships: [],
	now: '2026-02-02T23:59:59',
	tables: TABLES,
	generate,
};
