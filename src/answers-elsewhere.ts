/**
 * Answers to code that waits in a sandbox of another server: it holds the run, so it is asked to record the answer, and does so with its
 * own gates and clock. What it says, or that it says nothing, is what whoever answered is told.
 */
import {randomUUID} from 'node:crypto';
import {setTimeout as pause} from 'node:timers/promises';
import {z} from 'zod';
import {type ErrorBody, WritError} from '#contract/errors.ts';
import type {Origin} from '#contract/event.ts';
import {asRequest, currentOrigin} from '#evidence/origin.ts';
import type {Letter, Letters} from '#kernel/letters.ts';
import type {ApprovalAnswer} from '#server/deps.ts';
import type {Platform} from './platform.ts';

type Ports = Pick<Platform, 'runs' | 'kernel'> & {readonly letters: Letters};

/** As long as a person waits for a click; longer than a store is away while it fails over. */
const WAIT_MS = 15_000;
/** A notification can be lost with the connection that carried it. */
const LOOK_MS = 250;

const replySchema = z.object({error: z.unknown().optional()});

/** Throws what the other server throws, or `conflict` when none has taken the answer; then it is not recorded later either. */
export async function answerElsewhere(runId: string, answer: ApprovalAnswer, {letters, kernel}: Ports): Promise<void> {
	const now = () => kernel.clock.now();
	const letterId = `ltr_${randomUUID()}`;
	const body = JSON.stringify(kernel.redact({answer, origin: currentOrigin()}).value);
	const until = new Date(now().getTime() + WAIT_MS);
	await letters.send({letterId, runId, body, until: until.toISOString()});
	try {
		const reply = await replyTo(letterId, until, {letters, now});
		if (reply === null) throw new WritError('conflict', 'the server that runs this did not take the answer', {hint: 'try again'});
		const {error} = replySchema.parse(JSON.parse(reply));
		if (error !== undefined) throw toError(error as ErrorBody);
	} finally {
		await letters.discard(letterId, now()).catch(() => {}); // it is nobody's by now, and goes with the next
	}
}

async function replyTo(letterId: string, until: Date, {letters, now}: {letters: Letters; now(): Date}): Promise<string | null> {
	const woken = {wake: () => {}};
	const deaf = letters.listen(() => woken.wake());
	try {
		for (;;) {
			const {promise, resolve} = Promise.withResolvers<void>();
			woken.wake = resolve;
			const reply = await letters.replyTo(letterId);
			// Whoever took it is about to reply; what nobody took is taken back, so that it is not recorded after this was told.
			if (reply !== null || (now() > until && (await letters.take(letterId)))) return reply;
			if (now().getTime() > until.getTime() + WAIT_MS) throw lost();
			await Promise.race([promise, pause(LOOK_MS)]);
		}
	} finally {
		deaf();
	}
}

/** Takes letters about runs that are worked on here, one after the other. Returns how to stop. */
export function takeLetters(answer: (given: ApprovalAnswer) => Promise<unknown>, {letters, runs, kernel}: Ports): () => void {
	const state = {isOn: false, again: false};
	const takeOne = async ({letterId, runId, body}: Letter) => {
		if (!runs.has(runId) || !(await letters.take(letterId))) return;
		const {answer: given, origin} = JSON.parse(body) as {answer: ApprovalAnswer; origin?: Origin};
		const work = () => answer(given);
		const reply = await (origin ? asRequest(origin, work) : work()).then(
			() => ({}),
			(error: unknown) => ({error: (error instanceof WritError ? error : lost()).toJSON()}),
		);
		await letters.reply(letterId, JSON.stringify(reply));
	};
	const look = async () => {
		if (state.isOn) {
			state.again = true;
			return;
		}
		state.isOn = true;
		do {
			state.again = false;
			for (const letter of await letters.waiting(kernel.clock.now()).catch(() => [])) await takeOne(letter).catch(kernel.report);
		} while (state.again);
		state.isOn = false;
	};
	return letters.listen(() => void look());
}

function toError({code, message, hint, details}: ErrorBody): WritError {
	return new WritError(code, message, {...(hint === undefined ? {} : {hint}), details});
}

function lost(): WritError {
	return new WritError('store_unavailable', 'whether the answer was recorded is not known', {
		hint: 'reload it to see how it stands',
	});
}
