/**
 * Retention: content whose time is over by the policy is erased, each run in one transaction with the event that says so. What decided,
 * who approved and how it ended stays, and so does every hash.
 */
import {readdir, stat} from 'node:fs/promises';
import path from 'node:path';
import {setImmediate as breathe} from 'node:timers/promises';
import {type Ports, type RecordAudit, recordAlone} from '#agents/audit-record.ts';
import type {Datasets} from '#analyst/datasets.ts';
import {WritError} from '#contract/errors.ts';
import type {Event, Principal} from '#contract/event.ts';
import type {PolicyDocument} from '#contract/policy.ts';
import type {RetentionPreview, RetentionReply} from '#contract/retention.ts';
import {eraseContent, toStored} from '#evidence/content.ts';
import type {Clock, Store} from '#kernel/ports.ts';
import type {ErasableRow} from '#kernel/retention-store.ts';
import {isListed} from '#store/retain.ts';
import type {FileStore} from '#tools/files.ts';
import type {HeldBy} from './dataset-holds.ts';

export type Retention = {
	/** What would be erased now. */
	preview(tenant: string): Promise<RetentionPreview>;
	/** Erases what is due, of one tenant or with null of all; bounded. Throws `conflict` while another server does. */
	run(tenant: string | null, by: Principal): Promise<RetentionReply>;
};

type Options = Ports & {
	readonly store: Pick<Store, 'retention' | 'read'>;
	readonly policy: () => PolicyDocument['retention'];
	readonly clock: Clock;
	readonly files: Pick<FileStore, 'place' | 'erase'>;
	readonly datasets: Pick<Datasets, 'past' | 'removePast'>;
	readonly heldBy: HeldBy;
	readonly holder: string;
	readonly recordAudit: RecordAudit;
	/** Removes leftovers of uploads, exports and programs. */
	readonly sweep: () => Promise<number>;
};

type Rule = {readonly id: string; readonly days: number};
type Due = {readonly row: ErasableRow; readonly rule: Rule};

const DAY_MS = 86_400_000;
const PAGE = 100;
/** Runs in one pass; the next goes on. */
const MOST = 500;
/** Longer than the erasure of one run takes; renewed before each. */
const LEASE_MS = 60_000;

/** Who erases when nobody asked. */
export const KEEPER: Principal = {kind: 'service', id: 'retention', tenant: 'local'};

export function createRetention(options: Options): Retention {
	const {store, clock, holder, policy, recordAudit} = options;
	const lease = async () => {
		if (await store.retention.lease('retention', holder, clock.now(), LEASE_MS)) return;
		throw new WritError('conflict', 'another server is erasing what is due', {hint: 'try again in a minute'});
	};
	return {
		async preview(tenant) {
			const rules = new Map<string, {rule: string; days: number; runs: number; bytes: number}>();
			for await (const {row, rule} of allDue(tenant, options)) {
				const sum = rules.get(rule.id) ?? {rule: rule.id, days: rule.days, runs: 0, bytes: 0};
				rules.set(rule.id, {...sum, runs: sum.runs + 1, bytes: sum.bytes + row.bytes});
			}
			const list = [...rules.values()];
			const holds = (await store.retention.holds(tenant)).filter(({state}) => state !== 'released').length;
			const total = (of: 'runs' | 'bytes') => list.reduce((sum, each) => sum + each[of], 0);
			return {rules: list, runs: total('runs'), bytes: total('bytes'), holds};
		},
		async run(tenant, by) {
			await lease();
			await store.retention.holdListed(policy().legalHold, 'add');
			const reply = {erased: 0, bytesBefore: 0, bytesAfter: 0, files: 0, snapshots: 0, isDone: true};
			for await (const due of allDue(tenant, options)) {
				if (reply.erased >= MOST) return {...reply, isDone: false};
				await lease();
				const bytes = await eraseOne(due, {...by, tenant: due.row.tenant}, options);
				if (!bytes) continue;
				reply.erased += 1;
				reply.bytesBefore += bytes.before;
				reply.bytesAfter += bytes.after;
				await breathe(); // others have their turn
			}
			if (reply.erased > 0) await store.retention.forget();
			await options.sweep();
			for (const one of tenant === null ? await store.retention.tenants() : [tenant]) {
				reply.files += await eraseFiles(one, {...by, tenant: one}, {...options, recordAudit});
				reply.snapshots += await removeSnapshots(one, {...by, tenant: one}, options);
			}
			return reply;
		},
	};
}

/** Null when it was held, or changed by somebody, in the meantime. */
async function eraseOne({row, rule}: Due, by: Principal, options: Options) {
	const {runId} = row;
	const before = await options.store.read(runId);
	if (!isSignedDue(before, rule, options)) return null;
	const gone = before.flatMap((event) => eraseContent(event) ?? []);
	if (gone.length === 0) return null;
	const size = (events: readonly unknown[]) => events.reduce<number>((sum, event) => sum + JSON.stringify(event).length, 0);
	const erased = new Set(gone.map(({seq}) => seq));
	const bytes = {before: size(before), after: size([...gone.map(toStored), ...before.filter(({seq}) => !erased.has(seq))])};
	const events = gone.map(({seq, hash}) => ({seq, hash}));
	const {id, days} = rule;
	const data = {runId, rule: id, reason: `finished more than ${days} days ago`, days, events, bytes};
	try {
		await recordAlone('retention', {type: 'content.erased', actor: by, data}, options);
		return bytes;
	} catch (error) {
		if (error instanceof WritError && error.code === 'conflict') return null;
		throw error;
	}
}

/** A row only says where to look: whose run it is, of which job and since when it is over is in its events, which are signed. */
function isSignedDue(events: readonly Event[], rule: Rule, {policy, clock}: Options): boolean {
	const [first, last] = [events[0], events.at(-1)];
	if (first?.type !== 'run.started' || last?.type !== 'run.finished') return false;
	const {job, principal} = first.data;
	return ruleFor({job, tenant: principal.tenant}, policy())?.id === rule.id && isPast(last.at, rule.days, clock);
}

function isPast(finishedAt: string, days: number, clock: Clock): boolean {
	return Date.parse(finishedAt) < clock.now().getTime() - days * DAY_MS;
}

/** Every run whose time is over, the first to finish first. */
async function* allDue(tenant: string | null, {store, policy, clock}: Options): AsyncIterable<Due> {
	const document = policy();
	const now = clock.now().getTime();
	const days = [...document.rules.map((rule) => rule.days), ...(document.days === undefined ? [] : [document.days])];
	if (days.length === 0) return;
	const before = new Date(now - Math.min(...days) * DAY_MS).toISOString();
	for (let after: ErasableRow | null = null; ; ) {
		const page: readonly ErasableRow[] = await store.retention.erasable({tenant, before, after, limit: PAGE});
		for (const row of page) {
			const rule = ruleFor(row, document);
			if (rule !== null && isPast(row.finishedAt, rule.days, clock) && !isListed(row, policy().legalHold)) yield {row, rule};
		}
		after = page.at(-1) ?? null;
		if (page.length < PAGE) return;
		await breathe();
	}
}

function ruleFor({tenant, job}: Pick<ErasableRow, 'tenant' | 'job'>, {rules, days}: PolicyDocument['retention']): Rule | null {
	const found = rules.find(
		(rule) => (rule.tenants?.includes(tenant) ?? true) && (rule.jobs?.some((each) => each === job) ?? true),
	);
	return found ?? (days === undefined ? null : {id: 'days', days});
}

/** For how many days a tenant keeps anything; infinite when for good. */
function longestOf(tenant: string, {rules, days}: PolicyDocument['retention']): number {
	const own = rules.filter((rule) => rule.tenants?.includes(tenant) ?? true).map((rule) => rule.days);
	return Math.max(...own, days ?? (own.length > 0 ? 0 : Number.POSITIVE_INFINITY));
}

/** Snapshots of that age that others have taken the place of, and that no run with content used. */
async function removeSnapshots(tenant: string, by: Principal, options: Options): Promise<number> {
	const {store, policy, clock, datasets, heldBy, recordAudit} = options;
	const longest = longestOf(tenant, policy());
	if (!Number.isFinite(longest)) return 0;
	const before = clock.now().getTime() - longest * DAY_MS;
	let count = 0;
	for (const {id, hash, at} of await datasets.past(tenant)) {
		if (at >= before || (await store.retention.isUsed(tenant, id, hash)) || (await heldBy(tenant, id)) !== null) continue;
		const detail = `snapshot ${hash}: no run uses it, replaced, kept for ${longest} days`;
		await recordAudit({what: 'snapshot.erased', target: id, detail}, by);
		if (await datasets.removePast(tenant, {id, hash})) count += 1;
	}
	return count;
}

/** Files that nobody touched for as long as the tenant keeps anything, and that no run with content names. */
async function eraseFiles(tenant: string, by: Principal, options: Options): Promise<number> {
	const {store, policy, clock, files, recordAudit} = options;
	const longest = longestOf(tenant, policy());
	const isHeld = async () =>
		policy().legalHold.includes(tenant) ||
		(await store.retention.holds(tenant)).some(({kind, state}) => kind === 'tenant' && state !== 'released');
	if (!Number.isFinite(longest) || (await isHeld())) return 0;
	const before = clock.now().getTime() - longest * DAY_MS;
	const since = Date.parse(await store.retention.citedSince());
	const directory = await files.place(tenant);
	let count = 0;
	for (const name of await readdir(directory)) {
		const place = path.join(directory, name);
		const isOld = async () => {
			const found = await stat(place).catch(() => null);
			return found !== null && found.mtimeMs < before && found.mtimeMs > since;
		};
		if (!(await isOld()) || (await store.retention.isCited(tenant, name)) || !(await isOld()) || (await isHeld())) continue;
		await recordAudit({what: 'file.erased', target: name, detail: `no run names it, untouched for ${longest} days`}, by);
		await files.erase(tenant, name);
		count += 1;
	}
	return count;
}
