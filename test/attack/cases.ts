/** The battery: 118 attacks that were planned before anything was built, and what was found worth trying since. */
import type {Case} from './case.ts';
import {FILES} from './cases/files.ts';
import {KERNEL} from './cases/kernel.ts';
import {NETWORK} from './cases/network.ts';
import {PLATFORM} from './cases/platform.ts';
import {PYTHON} from './cases/python.ts';
import {RESOURCES} from './cases/resources.ts';
import {MORE, SECRETS} from './cases/secrets.ts';
import {SQL} from './cases/sql.ts';

export const PLANNED: readonly Case[] = [
	...SQL,
	...PYTHON,
	...PLATFORM,
	...FILES,
	...NETWORK,
	...KERNEL,
	...RESOURCES,
	...SECRETS,
];
export const CASES: readonly Case[] = [...PLANNED, ...MORE];
