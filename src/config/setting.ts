import {z} from 'zod';

export type Facts = {
	readonly env: string;
	readonly unit?: string;
	/** never printed, only said to be set or not */
	readonly secret?: boolean;
};

export const facts = z.registry<Facts>();

/** `about` completes the sentence "This setting is …". */
export function setting<T extends z.ZodType>(schema: T, about: string, given: Facts): T {
	const described = schema.describe(about);
	facts.add(described, given);
	return described;
}

export const text = z.string().min(1);
export const optionalText = text.nullable().default(null);
export const count = (min: number, max: number, initial: number) => z.int().min(min).max(max).default(initial);
