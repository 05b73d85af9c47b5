import path from 'node:path';
import {WritError} from '#contract/errors.ts';
import {createServerLog} from '#evidence/server-log.ts';
import {createModel} from '#models/providers.ts';
import type {Platform, PlatformOptions} from './platform.ts';
import {createFacts} from './reproducibility.ts';

type Logging = Pick<Platform, 'store' | 'keyring'> &
	Pick<PlatformOptions, 'config' | 'root' | 'report'> & {readonly dataDir: string};

/** The log of all runs, what takes in a run that has finished, and what is stated of one that starts. */
export function openLog({store, keyring, config, dataDir, root, report}: Logging) {
	const serverLog = createServerLog({store, keyring, directory: path.join(dataDir, 'log'), anchor: config.data.anchor});
	const finished = () =>
		void serverLog.sync().then((fault) => fault !== null && report(new WritError('evidence_tampered', fault)), report);
	const model = createModel(config.models)?.id ?? null;
	return {serverLog, finished, facts: createFacts({root, image: config.sandbox.image, model})};
}
