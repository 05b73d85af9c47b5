import {createRandom, type Random} from './random.ts';
import {type Cell, type Sample, type SampleTable, toDecimal, toTimestamp} from './sample.ts';

const SENSORS = 150;
const READINGS = 333;
const NOW = Date.UTC(2026, 1, 2, 23, 59, 59);
/** 333 readings this far apart, and the sensors a minute apart from each other, cover the last 30 days. */
const STEP_MS = 7_780_000;
const STAGGER_MS = 60_000;
/** Vibration from here on is dangerous, and an alarm. */
export const DANGEROUS_VIBRATION = 15;
/** Machines that began to shake in the last hours. */
const WORN_MACHINES = 3;
const WORN_HOURS = 12;
const BATTERY_SENSORS = 60;
const LOW_BATTERIES = 12;

type Kind = 'indoor' | 'industrial' | 'outdoor';

export const LOCATIONS: Readonly<Record<string, {readonly zone: string; readonly kind: Kind}>> = {
	'Warehouse-A': {zone: 'North', kind: 'indoor'},
	'Warehouse-B': {zone: 'South', kind: 'indoor'},
	'Warehouse-C': {zone: 'East', kind: 'indoor'},
	'Factory-Floor-1': {zone: 'West', kind: 'industrial'},
	'Factory-Floor-2': {zone: 'North', kind: 'industrial'},
	'Factory-Floor-3': {zone: 'South', kind: 'industrial'},
	'Outdoor-North': {zone: 'North', kind: 'outdoor'},
	'Outdoor-South': {zone: 'South', kind: 'outdoor'},
	'Outdoor-East': {zone: 'East', kind: 'outdoor'},
	'Outdoor-West': {zone: 'West', kind: 'outdoor'},
};

/** The sine of the day in thousandths by hour: coldest at midnight, warmest at noon. */
const SINE = [
	-1000, -966, -866, -707, -500, -259, 0, 259, 500, 707, 866, 966, 1000, 966, 866, 707, 500, 259, 0, -259, -500, -707, -866, -966,
];

type Anomaly = 'high_temp' | 'low_temp' | 'high_humidity' | 'sensor_fault' | 'vibration_alarm';
/** Only machines shake. With 45 of 150 sensors on machines, 40/20/15/15/10 over all. */
const ANOMALIES_OF_MACHINES: readonly (readonly [Anomaly, number])[] = [
	['high_temp', 31],
	['low_temp', 15],
	['high_humidity', 9],
	['sensor_fault', 12],
	['vibration_alarm', 33],
];
const ANOMALIES_OF_ROOMS: readonly (readonly [Anomaly, number])[] = [
	['high_temp', 44],
	['low_temp', 22],
	['high_humidity', 18],
	['sensor_fault', 16],
];

type Sensor = {
	readonly id: string;
	readonly location: string;
	readonly zone: string;
	readonly kind: Kind;
	/** its last reading is this long before the end */
	readonly lagMs: number;
	/** percent at the first and at the last reading */
	readonly battery: readonly [number, number] | null;
	readonly worn: boolean;
};

function makeSensors(): Sensor[] {
	const random = createRandom('sensors/fleet');
	const locations = random.shuffle(Object.keys(LOCATIONS).flatMap((name) => Array.from({length: SENSORS / 10}, () => name)));
	const lags = random.shuffle(Array.from({length: SENSORS}, (_, index) => index * STAGGER_MS));
	const batteries = random.shuffle(Array.from({length: SENSORS}, (_, index) => (index < BATTERY_SENSORS ? index : null)));
	const machines = locations.flatMap((name, index) => (LOCATIONS[name]?.kind === 'industrial' ? [index] : []));
	const worn = new Set(random.shuffle(machines).slice(0, WORN_MACHINES));
	return locations.map((location, index) => {
		const place = LOCATIONS[location] as {zone: string; kind: Kind};
		const battery = batteries[index] ?? null;
		return {
			...place,
			id: `SEN-${String(index + 1).padStart(3, '0')}`,
			location,
			lagMs: lags[index] as number,
			battery: battery === null ? null : makeBattery(battery < LOW_BATTERIES, random),
			worn: worn.has(index),
		};
	});
}

/** A third to half of a charge goes in 30 days; the low ones end between 3 and 18 %. */
function makeBattery(low: boolean, random: Random): readonly [number, number] {
	if (low) return [random.between(50, 70), random.between(3, 18)];
	const start = random.between(60, 100);
	return [start, start - random.between(5, 38)];
}

type Measures = {temperature: number; humidity: number; pressure: number; vibration: number | null};

function measure({kind}: Sensor, hour: number, random: Random): Measures {
	const noise = random.between(-50, 50);
	const temperature =
		kind === 'outdoor'
			? 2_250 + Math.round((750 * (SINE[hour] as number)) / 1_000) + noise
			: (kind === 'industrial' ? 2_400 : 2_200) + random.between(-200, 200) + noise;
	const spread = kind === 'indoor' ? 1_000 : 1_500;
	const usual = kind === 'outdoor' ? 6_000 - 2 * (temperature - 2_200) : 5_000;
	return {
		temperature,
		humidity: clamp(usual + random.between(-spread, spread), 2_000, 9_500) + random.between(-200, 200),
		pressure: 101_325 + random.between(-2_000, 2_000),
		vibration: kind === 'industrial' ? Math.min(random.between(0, 1_000) + random.exponential(200), 1_499) : null,
	};
}

function disturb(usual: Measures, anomaly: Anomaly, random: Random): Measures {
	switch (anomaly) {
		case 'high_temp':
			return {...usual, temperature: usual.temperature + random.between(1_000, 2_000)};
		case 'low_temp':
			return {...usual, temperature: usual.temperature - random.between(500, 1_500)};
		case 'high_humidity':
			return {...usual, humidity: usual.humidity + random.between(2_000, 3_000)};
		case 'sensor_fault':
			return {...usual, temperature: random.between(-1_000, 5_000), humidity: random.between(0, 10_000)};
		case 'vibration_alarm':
			return {...usual, vibration: random.between(DANGEROUS_VIBRATION * 100 + 1, 4_000)};
	}
}

function clamp(value: number, low: number, high: number): number {
	return Math.min(Math.max(value, low), high);
}

/** Decides which readings are anomalous: 3 % of them, 4 % of machines at night. */
function makeAnomalies(random: Random): (sensor: Sensor, at: number) => Anomaly | null {
	const day = random.deck([
		[true, 3],
		[false, 97],
	]);
	const night = random.deck([
		[true, 4],
		[false, 96],
	]);
	const ofMachines = random.deck(ANOMALIES_OF_MACHINES);
	const ofRooms = random.deck(ANOMALIES_OF_ROOMS);
	return ({kind, worn}, at) => {
		if (worn && NOW - at <= WORN_HOURS * 3_600_000) return 'vibration_alarm';
		const hour = new Date(at).getUTCHours();
		const nightShift = kind === 'industrial' && (hour < 6 || hour >= 22);
		if (!(nightShift ? night() : day())) return null;
		return kind === 'industrial' ? ofMachines() : ofRooms();
	};
}

type Reading = {readonly at: number; readonly cells: readonly Cell[]};

function makeReadings(): Reading[] {
	const random = createRandom('sensors/readings');
	const status = random.deck([
		['online', 90],
		['offline', 5],
		['maintenance', 5],
	]);
	const anomalyOf = makeAnomalies(random);
	return makeSensors().flatMap((sensor) =>
		Array.from({length: READINGS}, (_, index) => {
			const at = NOW - sensor.lagMs - (READINGS - 1 - index) * STEP_MS - random.below(60) * 1_000;
			const state = status();
			const battery = sensor.battery && chargeAt(sensor.battery, index);
			const measured = state === 'online' ? cellsOf(sensor, at, anomalyOf(sensor, at), random) : SILENT;
			return {at, cells: [sensor.id, toTimestamp(at), sensor.location, sensor.zone, ...measured, battery, state]};
		}),
	);
}

const SILENT: readonly Cell[] = [null, null, null, null, false, null];

function cellsOf(sensor: Sensor, at: number, anomaly: Anomaly | null, random: Random): Cell[] {
	const usual = measure(sensor, new Date(at).getUTCHours(), random);
	const {temperature, humidity, pressure, vibration} = anomaly ? disturb(usual, anomaly, random) : usual;
	return [
		toDecimal(clamp(temperature, -2_000, 5_000)),
		toDecimal(clamp(humidity, 0, 10_000)),
		toDecimal(pressure),
		vibration === null ? null : toDecimal(vibration),
		anomaly !== null,
		anomaly,
	];
}

function chargeAt([first, last]: readonly [number, number], index: number): number {
	return first - Math.floor(((first - last) * index) / (READINGS - 1));
}

/** In order of time, as a network of sensors reports. */
function generate(): ReadonlyMap<string, (readonly Cell[])[]> {
	const rows = makeReadings()
		.sort((a, b) => a.at - b.at)
		.map(({cells}) => cells);
	return new Map([['sensors', rows]]);
}

const TABLES: readonly SampleTable[] = [
	{
		name: 'sensors',
		description: 'One row per reading of a sensor.',
		rows: SENSORS * READINGS,
		key: ['sensor_id', 'timestamp'],
		columns: [
			{name: 'sensor_id', type: 'text', description: 'The sensor', pattern: /^SEN-(0\d\d|1[0-4]\d|150)$/},
			{
				name: 'timestamp',
				type: 'timestamp',
				description: 'When it reported',
				min: '2026-01-03 23:59:59',
				max: '2026-02-02 23:59:59',
			},
			{name: 'location', type: 'text', description: 'Where it is', values: Object.keys(LOCATIONS)},
			{name: 'zone', type: 'text', description: 'Part of the site', values: ['North', 'South', 'East', 'West']},
			{
				name: 'temperature_c',
				type: 'decimal',
				description: 'Temperature of the air; empty unless online',
				unit: '°C',
				nullable: true,
				min: -20,
				max: 50,
			},
			{
				name: 'humidity_pct',
				type: 'decimal',
				description: 'Relative humidity; empty unless online',
				unit: '%',
				nullable: true,
				min: 0,
				max: 100,
			},
			{
				name: 'pressure_hpa',
				type: 'decimal',
				description: 'Air pressure; empty unless online',
				unit: 'hPa',
				nullable: true,
				min: 993.25,
				max: 1_033.25,
			},
			{
				name: 'vibration_mm_s',
				type: 'decimal',
				description: 'Vibration, on factory floors only; above 15 is dangerous',
				unit: 'mm/s',
				nullable: true,
				min: 0,
				max: 40,
			},
			{name: 'anomaly_flag', type: 'boolean', description: 'Whether the reading is out of the ordinary'},
			{
				name: 'anomaly_type',
				type: 'text',
				description: 'In what way; empty unless anomaly_flag is true',
				nullable: true,
				values: ['high_temp', 'low_temp', 'high_humidity', 'sensor_fault', 'vibration_alarm'],
			},
			{
				name: 'battery_pct',
				type: 'integer',
				description: 'Charge left; empty for sensors on mains',
				unit: '%',
				nullable: true,
				min: 0,
				max: 100,
			},
			{
				name: 'status',
				type: 'text',
				description: 'Whether it was working when it should have reported',
				values: ['online', 'offline', 'maintenance'],
			},
		],
	},
];

export const sensors: Sample = {
	id: 'sensors',
	name: 'IoT Sensor Network',
	description:
		'Thirty days of 150 sensors in warehouses, on factory floors and outdoors: climate, vibration, anomalies, batteries.',
	domain: 'IoT/Industrial Monitoring',
	tags: ['iot', 'sensors', 'anomaly-detection', 'time-series', 'monitoring'],
	prompts: [
		'How many anomalies did each location have in the last 24 hours?',
		'What are the average temperature and humidity in each zone?',
		'Show high temperature anomalies from the past week',
		'Which sensors have a battery level under 20%?',
		'How are readings distributed over sensor status?',
		'Where was vibration dangerous (above 15 mm/s) in the last 6 hours?',
	],
	relationships: [],
	now: '2026-02-02T23:59:59',
	tables: TABLES,
	generate,
};
