/** What of this machine shell scripts and test frameworks need to see, besides Node: programs and packages, one by one, read-only. */
import {access, realpath} from 'node:fs/promises';
import {join} from 'node:path';
import {WritError} from '#contract/errors.ts';
import type {SandboxSpec, TestFramework} from '#contract/sandbox.ts';
import type {Mount} from './runtime.ts';

/** Where things are on this machine. `python` is asked for its mounts only by those who need them. */
type Places = {
	readonly root: string;
	readonly scripts: string;
	readonly python: () => Promise<{readonly executable: string; readonly mounts: readonly Mount[]}>;
};

/** Added to a Node program. `browser` lets it run Chromium, which needs more of the kernel than anything else here. */
export type Equipment = {
	readonly mounts: readonly Mount[];
	/** of the runner, after its own */
	readonly argument?: string;
	readonly browser: boolean;
};

const NOTHING: Equipment = {mounts: [], browser: false};

/** Throws `sandbox_unavailable` with the command that installs what is missing. */
export async function equipmentFor({runner, framework = 'node'}: SandboxSpec, places: Places): Promise<Equipment> {
	if (runner === 'shell') return {...NOTHING, mounts: await shellMounts(places)};
	return runner === 'tests' ? FRAMEWORKS[framework](places) : NOTHING;
}

const COREUTILS = `[ arch b2sum base32 base64 basename basenc cat chmod cksum comm cp csplit cut date dd df dir dirname du echo env expand
expr factor false fmt fold head id install join link ln ls md5sum mkdir mktemp mv nl nproc numfmt od paste pathchk pr printenv printf
ptx pwd readlink realpath rm rmdir seq sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort split stat stdbuf sum
sync tac tail tee test timeout touch tr true truncate tsort tty uname unexpand uniq unlink vdir wc yes`;
const OTHERS = 'awk cmp diff find flock grep gunzip gzip jq sed tar which xargs xxd';

async function shellMounts({root, scripts}: Places): Promise<Mount[]> {
	const names = `${COREUTILS} ${OTHERS}`.split(/\s+/);
	const programs = await Promise.all(names.map((name) => program(`/usr/bin/${name}`)));
	const [bash, sh] = await Promise.all([program('/bin/bash'), program('/bin/sh')]);
	return [...programs, bash, sh, [{source: join(root, scripts, 'writ.sh'), target: '/usr/bin/writ'}]].flat();
}

/** A link, such as those to alternatives, would lead nowhere inside. */
async function program(path: string): Promise<Mount[]> {
	const source = await realpath(path).catch(() => null);
	return source === null ? [] : [{source, target: path}];
}

const FRAMEWORKS: Readonly<Record<TestFramework, (places: Places) => Promise<Equipment>>> = {
	node: async () => NOTHING,
	async pytest({python}) {
		const {executable, mounts} = await python();
		return {...NOTHING, mounts, argument: executable};
	},
	vitest: async ({root}) => ({...NOTHING, mounts: await packages(root, 'vitest')}),
	async playwright({root}) {
		const browser = await chromium();
		return {mounts: [...(await packages(root, '@playwright/test')), ...browser], browser: true};
	},
};

/** All packages: what one of them needs is in many. `/node_modules` is where a module below `/in` looks last. */
async function packages(root: string, needed: string): Promise<Mount[]> {
	const source = join(root, 'node_modules');
	if (await exists(join(source, needed))) return [{source, target: '/node_modules'}];
	throw missing(needed, `npm install --no-save ${needed}`);
}

const CHROMIUM = '/usr/lib/chromium';

async function chromium(): Promise<Mount[]> {
	if (!(await exists(join(CHROMIUM, 'chromium')))) throw missing('Chromium', 'sudo apt-get install -y chromium');
	const needed = [CHROMIUM, '/usr/share/fonts', '/etc/fonts', '/usr/share/fontconfig'];
	const found = await Promise.all(needed.map(async (path) => ((await exists(path)) ? [{source: path, target: path}] : [])));
	return found.flat();
}

function missing(name: string, command: string): WritError {
	return new WritError('sandbox_unavailable', `${name} is not installed`, {hint: `run \`${command}\``, details: {missing: name}});
}

async function exists(path: string): Promise<boolean> {
	return access(path).then(
		() => true,
		() => false,
	);
}
