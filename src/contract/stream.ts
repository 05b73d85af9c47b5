import {z} from 'zod';
import {chatResponseSchema} from './api.ts';

/**
 * What a client of `/chat/stream` sees, as it happens. On the wire each is one SSE frame with `id: <run_id>:<n>`; a client that
 * reconnects with `Last-Event-ID` gets the frames after it.
 */
export const turnEventSchema = z.discriminatedUnion('event', [
	z.object({
		event: z.literal('status'),
		data: z.object({
			stage: z.enum(['planning', 'validating', 'executing', 'verifying', 'answering']),
			/** why it takes longer, e.g. a model provider that is tried again */
			note: z.string().optional(),
		}),
	}),
	z.object({event: z.literal('token'), data: z.object({content: z.string()})}),
	z.object({event: z.literal('tool_call'), data: z.object({id: z.string(), name: z.string(), input: z.unknown()})}),
	z.object({
		event: z.literal('tool_result'),
		data: z.object({id: z.string(), name: z.string(), status: z.string(), output: z.unknown()}),
	}),
	z.object({event: z.literal('result'), data: chatResponseSchema}),
	z.object({event: z.literal('error'), data: z.object({type: z.string(), message: z.string(), hint: z.string().optional()})}),
	z.object({event: z.literal('done'), data: z.object({run_id: z.string().optional()})}),
]);
export type TurnEvent = z.infer<typeof turnEventSchema>;
