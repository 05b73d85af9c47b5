/** Money that no column holds: price times quantity, less discount, where one table says all it takes. */
import type {Dataset, TableProfile} from '#contract/dataset.ts';
import {isNumeric} from './draft.ts';
import {unitOf} from './units.ts';
import {type Col, type ColumnName, isKey, vocabularyOf} from './vocabulary.ts';

export type Revenue = {
	readonly table: TableProfile;
	readonly price: Col;
	readonly quantity: Col;
	readonly discount: Col | null;
	readonly isPercent: boolean;
};

/** Null when no table, or more than one, has a price and a quantity. */
export function revenueOf(dataset: Dataset): Revenue | null {
	const {columns} = vocabularyOf(dataset);
	const found = dataset.tables.flatMap((table) => {
		const own = columns.filter((col) => col.table === table && isNumeric(col) && !isKey(col));
		const price = one(own.filter((col) => says(col, 'price') && !/\b(total|sum)\b/i.test(col.column.description)));
		const quantity = one(own.filter((col) => says(col, 'quantity')));
		const discount = one(own.filter((col) => says(col, 'discount')));
		if (!price || !quantity) return [];
		return [
			{
				table,
				price,
				quantity,
				discount,
				isPercent: discount !== null && (unitOf(discount) === '%' || Number(discount.column.max) > 1),
			},
		];
	});
	return found.length === 1 ? (found[0] ?? null) : null;
}

function says({words}: ColumnName, concept: string): boolean {
	return words.some((word) => word.concept === concept);
}

function one<T>(list: readonly T[]): T | null {
	return list.length === 1 ? (list[0] ?? null) : null;
}
