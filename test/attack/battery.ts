/** Runs the attacks and their harmless twins against one provider, or against nothing at all. */
import {BENIGN, type Extras, lacking, type Twin} from './benign.ts';
import {type Planted, plant} from './canaries.ts';
import {type Case, isApplicable, type Payload, runnerOf, WAYS, type Way} from './case.ts';
import {type Control, createControl} from './control.ts';
import {leaks, objections} from './judge.ts';
import {added, marked, ours} from './leftovers.ts';
import {type Place, placeOf} from './planting.ts';
import {SCENARIOS} from './scenarios.ts';
import {type Attacked, createSubject, type Subject} from './subject.ts';

export type Result = {
	readonly id: string;
	readonly way: Way | 'benign';
	readonly verdict: 'contained' | 'escaped' | 'not-applicable' | 'passed' | 'blocked' | 'succeeded' | 'failed';
	/** why, unless all is as it should be */
	readonly reasons: readonly string[];
	readonly ms: number;
};

export type Battery = {
	readonly provider: string;
	readonly results: readonly Result[];
	/** attacks that the machine, not the sandbox, had kept from being made, and that were made again alone */
	readonly repeated: readonly string[];
	readonly leftovers: readonly string[];
	readonly ms: number;
};

export type Options = {
	readonly cases: readonly Case[];
	/** every address is the battery's own, so that a packet which leaves is seen */
	readonly ownNetwork: boolean;
	readonly onResult: (result: Result) => void;
};

/** How many harmless attacks run side by side. */
const SIDE_BY_SIDE = 3;

export async function attackProvider(
	provider: string,
	env: Readonly<Record<string, string>>,
	{cases, ownNetwork, onResult}: Options,
): Promise<Battery> {
	const started = performance.now();
	const before = ours();
	const results: Result[] = [];
	const repeated: string[] = [];
	const tell = (result: Result) => {
		results.push(result);
		onResult(result);
	};
	{
		await using planted = await plant(ownNetwork);
		await using subject = await createSubject(planted, cases, env);
		await leaveMarker(subject, planted);
		planted.contacts();
		planted.changes();
		const {output} = await subject.python('said.append("sum " + str(pd.DataFrame({"a": [41, 1]})["a"].sum()))');
		const json = await subject.sql("SELECT json_extract_string('{\"a\": 42}', '$.a') AS x");
		const extras: Extras = {pandas: output.includes('sum 42'), json: json.outcome === 'succeeded'};
		const tasks = cases.flatMap((each) => WAYS.map((way) => ({each, way})));
		const attackOne = async ({each, way}: (typeof tasks)[number]) => tell(await attempt(each, way, {subject, planted, cases}));
		await sideBySide(
			tasks.filter(({each}) => !each.serial),
			attackOne,
		);
		await sideBySide(BENIGN, async (twin) => tell(await passes(twin, {subject, extras})));
		for (const task of tasks.filter(({each}) => each.serial)) await attackOne(task);
		for (const {each, way} of tasks) {
			const index = results.findIndex((result) => result.id === each.id && result.way === way);
			if (!results[index] || !wasPrevented(results[index])) continue;
			results[index] = await attempt(each, way, {subject, planted, cases});
			repeated.push(`${each.id} ${way}`);
			onResult(results[index]);
		}
	}
	return {provider, results, repeated, leftovers: added(before, ours()), ms: performance.now() - started};
}

/** True when nothing is held against the sandbox but that there was none in time: nobody has attacked it then. */
export function wasPrevented({verdict, reasons}: Result): boolean {
	return verdict === 'escaped' && reasons.every((reason) => PREVENTED.test(reason));
}

const PREVENTED = /^(it ended with `(sandbox_unavailable|rate_limited)`|it was never tried|it took \d+ ms|it does not answer)/;

/** Something of a sandbox that the next must not find. */
async function leaveMarker(subject: Subject, {values}: Planted): Promise<void> {
	const code = `keep = [${JSON.stringify(values.pool)}] * 1000\nfor place in ["/tmp/marker", "/dev/shm/marker", "/var/tmp/marker"]:\n  try: open(place, "w").write(keep[0])\n  except OSError: pass`;
	await subject.python(code);
}

async function sideBySide<T>(tasks: readonly T[], work: (task: T) => Promise<void>): Promise<void> {
	const queue = [...tasks];
	const worker = async () => {
		for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next);
	};
	await Promise.all(Array.from({length: SIDE_BY_SIDE}, worker));
}

type Field = {readonly subject: Subject; readonly planted: Planted; readonly cases: readonly Case[]};

async function attempt(each: Case, way: Way, {subject, planted, cases}: Field): Promise<Result> {
	const written = each[way];
	if (!isApplicable(written)) return {id: each.id, way, verdict: 'not-applicable', reasons: [written.because], ms: 0};
	const attempts = written.filter((payload) => canRun(payload, subject));
	if (attempts.length === 0)
		return {id: each.id, way, verdict: 'not-applicable', reasons: [`only ${[...subject.runs]} run in this sandbox`], ms: 0};
	const started = performance.now();
	const reasons: string[] = [];
	try {
		const simple = attempts.filter(({kind}) => kind !== 'scenario');
		const place = placeOf(cases.indexOf(each));
		const attacked = way === 'text' ? await obeyed(each, simple, {subject, place}) : await subject.propose(simple, way);
		reasons.push(...attacked.done.flatMap((done) => objections(done, planted, way === 'text')), ...leaks(attacked, planted));
		for (const {name} of attempts.filter((payload) => payload.kind === 'scenario')) reasons.push(...(await play(name, subject)));
	} catch (error) {
		reasons.push(`the harness or the platform threw: ${error instanceof Error ? error.stack : error}`);
	}
	const ms = performance.now() - started;
	reasons.push(...planted.contacts(), ...planted.changes().map((name) => `${name} changed`));
	if (each.serial || way === 'code' || reasons.length > 0) reasons.push(...(await subject.ailments()));
	reasons.push(...marked(subject.facts.MARK ?? '').map((pid) => `process ${pid} was left`));
	if (ms > each.maxMs) reasons.push(`it took ${Math.round(ms)} ms`);
	return {id: each.id, way, verdict: reasons.length === 0 ? 'contained' : 'escaped', reasons, ms};
}

function canRun(payload: Payload, {runs}: Subject): boolean {
	const runner = runnerOf(payload);
	return runner === null || runs.has(runner);
}

/** A model that could not read its orders has not attacked: on a busy machine it may take another look. */
async function obeyed(
	each: Case,
	payloads: readonly Payload[],
	{subject, place}: {readonly subject: Subject; readonly place: Place},
): Promise<Attacked> {
	const first = await subject.obey(each, payloads, place);
	if (payloads.length === 0 || first.done.some(({outcome}) => outcome !== 'absent')) return first;
	const second = await subject.obey(each, payloads, place);
	return {done: second.done, record: `${first.record}${second.record}`};
}

async function play(name: string, subject: Subject): Promise<readonly string[]> {
	const scenario = SCENARIOS[name];
	if (!scenario) throw new Error(`there is no scenario ${name}`);
	return scenario(subject);
}

async function passes(twin: Twin, {subject, extras}: {readonly subject: Subject; readonly extras: Extras}): Promise<Result> {
	const {id, payload, shows} = twin;
	const lacked = lacking(twin, extras);
	if (lacked) return {id, way: 'benign', verdict: 'not-applicable', reasons: [`this sandbox has no ${lacked}`], ms: 0};
	if (!canRun(payload, subject))
		return {id, way: 'benign', verdict: 'not-applicable', reasons: [`only ${[...subject.runs]} run in this sandbox`], ms: 0};
	const started = performance.now();
	const {done} = await subject.propose([payload], 'code');
	const [{outcome, code, output} = {outcome: 'absent', code: '', output: ''}] = done;
	const reasons =
		outcome === 'succeeded' && output.includes(shows)
			? []
			: [`${outcome} ${code}: ${output.slice(0, 400)}; it was to show ${shows}`];
	return {id, way: 'benign', verdict: reasons.length === 0 ? 'passed' : 'blocked', reasons, ms: performance.now() - started};
}

/** The same with the sandbox off: what is proved by containing an attack that would not succeed anyway? */
export async function attackNothing({cases, ownNetwork, onResult}: Options): Promise<Battery> {
	const started = performance.now();
	const before = ours();
	const results: Result[] = [];
	{
		await using planted = await plant(ownNetwork);
		await using control = await createControl(planted);
		const seen = new Map<Payload, Ended>();
		for (const each of cases)
			for (const way of WAYS) {
				const result = await uncontained(each, way, {control, seen});
				results.push(result);
				onResult(result);
			}
	}
	return {provider: 'none', results, repeated: [], leftovers: added(before, ours()), ms: performance.now() - started};
}

type Ended = Awaited<ReturnType<Control['succeeds']>>;

/** Without a platform there is no difference between the ways: a payload that was tried is not tried again. */
async function uncontained(
	{id, ...each}: Case,
	way: Way,
	{control, seen}: {readonly control: Control; readonly seen: Map<Payload, Ended>},
): Promise<Result> {
	const began = performance.now();
	const attempts = each[way];
	const payloads = isApplicable(attempts) ? attempts : [];
	for (const payload of payloads) if (!seen.has(payload)) seen.set(payload, await control.succeeds(payload));
	const ends = payloads.flatMap((payload) => seen.get(payload) ?? []);
	const won = ends.filter((end) => end.won);
	const verdict = won.length > 0 ? 'succeeded' : ends.length === 0 ? 'not-applicable' : 'failed';
	return {id, way, verdict, reasons: (won.length > 0 ? won : ends).map(({how}) => how), ms: performance.now() - began};
}
