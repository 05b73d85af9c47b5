import {WritError} from '#contract/errors.ts';
import type {Scope} from '#contract/scope.ts';
import {yaml} from '#contract/yaml.ts';
import type {Io} from './io.ts';

/** What the server parses; here only as YAML. Throws `invalid_request`. */
export async function readScope(path: string, io: Io): Promise<Scope> {
	const {parse, YAMLParseError} = yaml();
	try {
		return parse(await io.readFile(path));
	} catch (error) {
		if (!(error instanceof YAMLParseError)) throw error;
		throw new WritError('invalid_request', `${path}: ${error.message}`, {cause: error});
	}
}
