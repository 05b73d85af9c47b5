import {createHash, hash} from 'node:crypto';
import {readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import type {EventData} from '#contract/event.ts';
import type {Facts} from '#contract/reproducibility.ts';

type Fixed = Pick<Facts, 'code' | 'dependencies' | 'runner' | 'model'>;

/** What does not change while this process lives: looked at once, when the first run starts. */
export function createFacts(options: {readonly root: string; readonly image: string | null; readonly model: string | null}) {
	const held: {fixed: Promise<Fixed> | null} = {fixed: null};
	return async ({dataset, policyVersion}: Pick<EventData<'run.started'>, 'dataset' | 'policyVersion'>): Promise<Facts> => {
		held.fixed ??= look(options);
		return {...(await held.fixed), datasets: dataset ? [dataset] : [], seeds: {}, policyVersion};
	};
}

async function look({root, image, model}: Parameters<typeof createFacts>[0]): Promise<Fixed> {
	const sources = await sourcesIn(path.join(root, 'src'));
	const runners = sources.filter(([name]) => name.startsWith('sandbox/runners/'));
	const lock = await readFile(path.join(root, 'package-lock.json')).catch(() => null);
	return {
		code: {...(await checkout(root)), digest: digestOf(sources)},
		dependencies: lock && hash('sha256', lock),
		runner: {digest: digestOf(runners), image},
		model,
	};
}

type Source = readonly [name: string, bytes: Buffer];

async function sourcesIn(directory: string): Promise<readonly Source[]> {
	const entries = await readdir(directory, {recursive: true, withFileTypes: true});
	const files = entries.filter(
		(entry) => entry.isFile() && !/\.test\.ts$|__pycache__/.test(path.join(entry.parentPath, entry.name)),
	);
	const names = files.map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name))).sort();
	return Promise.all(names.map(async (name) => [name, await readFile(path.join(directory, name))] as const));
}

function digestOf(sources: readonly Source[]): string {
	const sum = createHash('sha256');
	for (const [name, bytes] of sources) sum.update(`${name}\0${bytes.length}\0`).update(bytes);
	return sum.digest('hex');
}

/** The commit, and whether a tracked file differs from the index. Git itself is not asked: no process starts here. */
async function checkout(root: string): Promise<{readonly commit: string | null; readonly dirty: boolean | null}> {
	try {
		const git = path.join(root, '.git');
		const head = (await readFile(path.join(git, 'HEAD'), 'utf8')).trim();
		const ref = /^ref: (.+)$/.exec(head)?.[1];
		const commit = ref === undefined ? head : await readRef(git, ref);
		return {commit, dirty: await isDirty(root, await readFile(path.join(git, 'index')))};
	} catch {
		return {commit: null, dirty: null}; // not a checkout: a release, or an image
	}
}

async function readRef(git: string, ref: string): Promise<string | null> {
	const loose = await readFile(path.join(git, ref), 'utf8').catch(() => null);
	if (loose !== null) return loose.trim();
	const packed = await readFile(path.join(git, 'packed-refs'), 'utf8');
	return (
		packed
			.split('\n')
			.find((line) => line.endsWith(` ${ref}`))
			?.split(' ')[0] ?? null
	);
}

/** Only what runs counts: `src` and what it depends on. Null for an index of a version not known here. */
async function isDirty(root: string, index: Buffer): Promise<boolean | null> {
	const version = index.readUInt32BE(4);
	if (index.toString('latin1', 0, 4) !== 'DIRC' || version > 3) return null;
	const tracked = entriesOf(index).filter(({name}) => /^(src\/|package(-lock)?\.json$)/.test(name));
	const same = await Promise.all(
		tracked.map(async ({name, blob}) => {
			const bytes = await readFile(path.join(root, name)).catch(() => null);
			return bytes !== null && hash('sha1', Buffer.concat([Buffer.from(`blob ${bytes.length}\0`), bytes])) === blob;
		}),
	);
	return same.includes(false);
}

function entriesOf(index: Buffer): readonly {readonly name: string; readonly blob: string}[] {
	const entries: {name: string; blob: string}[] = [];
	for (let at = 12, left = index.readUInt32BE(8); left > 0; left -= 1) {
		const isExtended = (index.readUInt16BE(at + 60) & 0x4000) !== 0;
		const start = at + (isExtended ? 64 : 62);
		const end = index.indexOf(0, start);
		entries.push({name: index.toString('utf8', start, end), blob: index.toString('hex', at + 40, at + 60)});
		at += Math.ceil((end - at + 1) / 8) * 8;
	}
	return entries;
}
