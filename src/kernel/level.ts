import {LEVELS, type Level} from '#contract/sandbox.ts';

export function isAtLeast(level: Level, demanded: Level): boolean {
	return LEVELS.indexOf(level) >= LEVELS.indexOf(demanded);
}

export function strongerOf(one: Level, other: Level): Level {
	return isAtLeast(one, other) ? one : other;
}
