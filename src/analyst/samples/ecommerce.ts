import {apportion, createRandom, type Random} from './random.ts';
import {type Cell, type Sample, type SampleTable, toDate, toDecimal} from './sample.ts';

const DAY = 86_400_000;
const FIRST_DAY = Date.UTC(2025, 7, 6);
const DAYS = 181;
const ORDERS = 4_018;
const RETURNED = 482;
const CANCELLED = 121;
/** How many orders have one, two, … five items; 9,008 items in all. */
const ORDERS_BY_ITEMS = [1_194, 1_439, 796, 397, 192];
/** Orders per day of each month, in percent: holidays up, January down. */
const SEASON: Readonly<Record<number, number>> = {1: 85, 2: 90, 8: 90, 9: 95, 10: 100, 11: 125, 12: 150};
const WEEKEND = 130;
const MONTH_END = 28;
const MONTH_END_DISCOUNT = 20;
const LOYAL_CUSTOMERS = 150;

type Category = {
	readonly name: string;
	/** percent of products and of demand */
	readonly share: number;
	/** relative to the others */
	readonly returns: number;
	/** percent of lines, outside month ends */
	readonly discounted: number;
	/** dollars */
	readonly price: readonly [number, number];
	readonly bases: readonly string[];
};

export const CATEGORIES: readonly Category[] = [
	{
		name: 'Electronics',
		share: 30,
		returns: 15,
		discounted: 45,
		price: [20, 500],
		bases: [
			...['Wireless Mouse', 'USB Cable', 'Headphones', 'Keyboard', 'Monitor'],
			...['Webcam', 'Phone Case', 'Charger', 'Speaker', 'Laptop Stand'],
		],
	},
	{
		name: 'Clothing',
		share: 35,
		returns: 18,
		discounted: 50,
		price: [10, 150],
		bases: ['Cotton T-Shirt', 'Jeans', 'Sweater', 'Jacket', 'Sneakers', 'Dress', 'Polo Shirt', 'Shorts', 'Hoodie', 'Socks'],
	},
	{
		name: 'Home',
		share: 20,
		returns: 10,
		discounted: 35,
		price: [15, 300],
		bases: [
			'Coffee Maker',
			'Lamp',
			'Towel Set',
			'Pillow',
			'Blanket',
			'Storage Box',
			'Picture Frame',
			'Candle',
			'Wall Art',
			'Rug',
		],
	},
	{
		name: 'Books',
		share: 10,
		returns: 5,
		discounted: 25,
		price: [5, 50],
		bases: [
			...['Fiction Novel', 'Cookbook', 'Biography', 'Travel Guide', 'Self-Help'],
			...['Mystery', 'Science Fiction', 'History', 'Poetry', "Children's Book"],
		],
	},
	{
		name: 'Toys',
		share: 5,
		returns: 12,
		discounted: 40,
		price: [8, 80],
		bases: [
			...['Board Game', 'Puzzle', 'Action Figure', 'Building Blocks', 'Doll'],
			...['RC Car', 'Ball', 'Stuffed Animal', 'Art Set', 'Educational Game'],
		],
	},
];
const CATEGORY_NAMES = CATEGORIES.map(({name}) => name);
const SUFFIXES = ['', ' Pro', ' Plus', ' Mini', ' Classic', ' Deluxe'];

const PRODUCTS = 500;
const FIRST_PRODUCT = 201;

type Product = {
	readonly id: number;
	readonly name: string;
	readonly category: string;
	readonly priceCents: number;
	/** relative within its category */
	readonly demand: number;
};
type Item = {readonly product: Product; readonly quantity: number; readonly discount: number};
type Order = {
	readonly date: number;
	readonly customer: number;
	/** the category of its first item, which decides whether it comes back */
	readonly category: string;
	readonly items: readonly Item[];
};

function makeProducts(): Product[] {
	const random = createRandom('ecommerce/products');
	const products = CATEGORIES.flatMap((category) => {
		const name = random.deck(category.bases.flatMap((base) => SUFFIXES.map((suffix) => [base + suffix, 1] as const)));
		return Array.from({length: (PRODUCTS * category.share) / 100}, () => ({
			name: name(),
			category: category.name,
			priceCents: makePrice(category, random),
			demand: random.between(1, 4),
		}));
	});
	return products.map((product, index) => ({...product, id: FIRST_PRODUCT + index}));
}

/**
 * INVARIANT: prices are multiples of four cents and discounts of five percent, so no total ends on half a cent and every way of
 * rounding gives the same one.
 */
function makePrice({price: [low, high]}: Category, random: Random): number {
	return random.between(low, high - 1) * 100 + random.pick([0, 48, 80, 96]);
}

function makeStock(): number[] {
	const random = createRandom('ecommerce/stock');
	return random
		.shuffle(apportion(PRODUCTS, [10, 30, 60]).flatMap((count, tier) => Array.from({length: count}, () => tier)))
		.map((tier) => (tier === 0 ? 0 : tier === 1 ? random.between(1, 19) : random.between(20, 500)));
}

/** How many orders each day has: season, weekends, and some noise. */
function ordersPerDay(random: Random): number[] {
	const weights = Array.from({length: DAYS}, (_, index) => {
		const day = new Date(FIRST_DAY + index * DAY);
		const weekday = day.getUTCDay() % 6 === 0 ? WEEKEND : 100;
		return weekday * (SEASON[day.getUTCMonth() + 1] ?? 100) * random.between(88, 112);
	});
	return apportion(ORDERS, weights);
}

function makeOrders(products: readonly Product[]): Order[] {
	const random = createRandom('ecommerce/orders');
	const sizes = random.shuffle(ORDERS_BY_ITEMS.flatMap((count, index) => Array.from({length: count}, () => index + 1)));
	const customer = makeCustomers(random);
	const category = random.deck(CATEGORIES.map(({name, share}) => [name, share]));
	const fill = makeBasket(products, random);
	return ordersPerDay(random).flatMap((count, day) =>
		Array.from({length: count}, () => {
			const order = {date: FIRST_DAY + day * DAY, customer: customer(), category: category()};
			return {...order, items: fill(order, sizes.pop() as number)};
		}),
	);
}

/** A quarter of all orders comes from few loyal customers, so that there are best customers to find. */
function makeCustomers(random: Random): () => number {
	const loyal = random.shuffle(Array.from({length: 2_000}, (_, index) => 501 + index)).slice(0, LOYAL_CUSTOMERS);
	const isLoyal = random.deck([
		[true, 1],
		[false, 3],
	]);
	return () => (isLoyal() ? random.pick(loyal) : random.between(501, 2_500));
}

function makeBasket(products: readonly Product[], random: Random): (order: Omit<Order, 'items'>, size: number) => Item[] {
	const staysInCategory = random.deck([
		[true, 8],
		[false, 2],
	]);
	const otherCategory = random.deck(CATEGORIES.map(({name, share}) => [name, share]));
	const quantity = random.deck([
		[1, 70],
		[2, 20],
		[3, 10],
	]);
	const percent = random.deck([5, 10, 15, 20, 25, 30].map((value) => [value, 1]));
	const shelves = new Map(
		CATEGORIES.map(({name}) => {
			const shelf = products.filter((product) => product.category === name);
			return [name, shelf.flatMap((product) => Array.from({length: product.demand}, () => product))];
		}),
	);
	const discounts = new Map(
		CATEGORIES.flatMap(({name, discounted}) =>
			[discounted, discounted + MONTH_END_DISCOUNT].map((share, monthEnd) => [
				`${name}/${monthEnd}`,
				random.deck([
					[true, share],
					[false, 100 - share],
				]),
			]),
		),
	);

	return ({date, category}, size) => {
		const monthEnd = new Date(date).getUTCDate() >= MONTH_END ? 1 : 0;
		const items: Item[] = [];
		while (items.length < size) {
			const from = items.length === 0 || staysInCategory() ? category : otherCategory();
			const product = random.pick(shelves.get(from) as Product[]);
			if (items.some((item) => item.product === product)) continue;
			const discounted = discounts.get(`${product.category}/${monthEnd}`)?.();
			items.push({product, quantity: quantity(), discount: discounted ? percent() : 0});
		}
		return items;
	};
}

type Status = 'completed' | 'returned' | 'cancelled';

/** Exactly as many returns and cancellations as declared, spread over categories by their tendency. */
function makeStatuses(orders: readonly Order[]): ReadonlyMap<Order, Status> {
	const random = createRandom('ecommerce/statuses');
	const groups = CATEGORIES.map(({name}) => random.shuffle(orders.filter((order) => order.category === name)));
	const returns = apportion(
		RETURNED,
		groups.map((group, index) => group.length * (CATEGORIES[index] as Category).returns),
	);
	const returned = groups.flatMap((group, index) => group.slice(0, returns[index]));
	const kept = groups.flatMap((group, index) => group.slice(returns[index]));
	const cancelled = random.shuffle(kept).slice(0, CANCELLED);
	return new Map([
		...orders.map((order) => [order, 'completed'] as const),
		...returned.map((order) => [order, 'returned'] as const),
		...cancelled.map((order) => [order, 'cancelled'] as const),
	]);
}

function totalCents(items: readonly Item[]): number {
	const hundredths = items.reduce(
		(sum, {product, quantity, discount}) => sum + product.priceCents * quantity * (100 - discount),
		0,
	);
	return Math.round(hundredths / 100);
}

function generate(): ReadonlyMap<string, Cell[][]> {
	const products = makeProducts();
	const stock = makeStock();
	const orders = makeOrders(products);
	const statuses = makeStatuses(orders);
	const orderRows = orders.map((order, index) => {
		const status = statuses.get(order) as Status;
		return [1_001 + index, order.customer, toDate(order.date), toDecimal(totalCents(order.items)), status, status === 'returned'];
	});
	const lines = orders.flatMap((order, index) => order.items.map((item) => ({...item, orderId: 1_001 + index})));
	const itemRows = lines.map(({orderId, product, quantity, discount}, index) => {
		return [10_001 + index, orderId, product.id, product.category, quantity, toDecimal(product.priceCents), discount];
	});
	const inventoryRows = products.map(({id, name, category}, index) => [id, name, category, stock[index] as number]);
	return new Map([
		['orders', orderRows],
		['order_items', itemRows],
		['inventory', inventoryRows],
	]);
}

const TABLES: readonly SampleTable[] = [
	{
		name: 'orders',
		description: 'One row per order.',
		rows: ORDERS,
		key: ['order_id'],
		columns: [
			{name: 'order_id', type: 'integer', description: 'Number of the order, in order of its date', min: 1_001, max: 5_018},
			{name: 'customer_id', type: 'integer', description: 'Who ordered', min: 501, max: 2_500},
			{name: 'order_date', type: 'date', description: 'Day of the order', min: '2025-08-06', max: '2026-02-02'},
			{
				name: 'total',
				type: 'decimal',
				description: 'What the order cost: the sum of price × quantity after discount over its items',
				unit: 'USD',
				min: 3,
				max: 8_000,
			},
			{name: 'status', type: 'text', description: 'What became of the order', values: ['completed', 'returned', 'cancelled']},
			{name: 'returned', type: 'boolean', description: 'Whether it came back: true exactly when status is returned'},
		],
	},
	{
		name: 'order_items',
		description: 'One row per product in an order.',
		rows: 9_008,
		key: ['item_id'],
		columns: [
			{name: 'item_id', type: 'integer', description: 'Number of the line', min: 10_001, max: 19_008},
			{name: 'order_id', type: 'integer', description: 'The order it belongs to', min: 1_001, max: 5_018},
			{name: 'product_id', type: 'integer', description: 'The product', min: 201, max: 700},
			{name: 'category', type: 'text', description: 'Category of the product', values: CATEGORY_NAMES},
			{name: 'quantity', type: 'integer', description: 'How many', unit: 'pieces', min: 1, max: 3},
			{name: 'price', type: 'decimal', description: 'Price of one piece before discount', unit: 'USD', min: 5, max: 500},
			{name: 'discount', type: 'integer', description: 'Discount on the line', unit: '%', values: [0, 5, 10, 15, 20, 25, 30]},
		],
	},
	{
		name: 'inventory',
		description: 'One row per product.',
		rows: PRODUCTS,
		key: ['product_id'],
		columns: [
			{name: 'product_id', type: 'integer', description: 'Number of the product', min: 201, max: 700},
			{name: 'name', type: 'text', description: 'What it is called; several products may share a name'},
			{name: 'category', type: 'text', description: 'Category of the product', values: CATEGORY_NAMES},
			{name: 'stock', type: 'integer', description: 'Pieces in stock now; 0 is sold out', unit: 'pieces', min: 0, max: 500},
		],
	},
];

export const ecommerce: Sample = {
	id: 'ecommerce',
	name: 'E-commerce Orders',
	description: 'Half a year of a shop: orders with their items and discounts, returns, and what is in stock.',
	domain: 'Retail/E-commerce',
	tags: ['retail', 'ecommerce', 'sales', 'inventory', 'returns'],
	prompts: [
		'Which 10 products bring in the most revenue?',
		'What is the return rate for each category?',
		'What is the average discount by category?',
		'Which Electronics products have fewer than 20 in stock?',
		'Who are our top 20 customers by total spend?',
		'Show returned orders over $100 from the past month',
	],
	relationships: [
		{from: 'order_items.order_id', to: 'orders.order_id', type: 'many-to-one'},
		{from: 'order_items.product_id', to: 'inventory.product_id', type: 'many-to-one'},
	],
	now: '2026-02-02T23:59:59',
	tables: TABLES,
	generate,
};
