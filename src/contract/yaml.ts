import {createRequire} from 'node:module';

/** The YAML library, of 72 files: loaded when there is YAML to read, which a server without `writ.yaml` and `policy.yaml` never has. */
export function yaml(): typeof import('yaml') {
	return createRequire(import.meta.url)('yaml');
}
