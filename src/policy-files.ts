/** Policies in files, without a server: what `writ policy check`, `test` and `diff` do. */
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {stringify} from 'yaml';
import type {PolicyFiles} from '#cli/io.ts';
import type {LoadedConfig} from '#config/config.ts';
import {digest} from '#evidence/canonical.ts';
import {type CaseReport, runCases} from '#policy/cases.ts';
import {comparePolicies} from '#policy/compare.ts';
import {readPolicy} from '#policy/policy-file.ts';
import {describeTools} from './platform.ts';
import {disabledTools} from './policies.ts';

export function createPolicyFiles({config}: LoadedConfig): PolicyFiles {
	const parts = {digest, disabledTools: disabledTools(config)};
	const read = (file: string | null) => readPolicy(file, parts);
	const tools = describeTools(config);
	return {
		check(file) {
			const {policy, problems} = read(file);
			return {version: policy?.version ?? null, problems};
		},
		test(files, chosen) {
			const {policyFile} = config.governance;
			const {policy, problems} = read(chosen ?? (policyFile === null ? null : path.resolve(policyFile)));
			if (!policy) return {results: [], problems};
			const reports = files.map((file): CaseReport => runCases(readFileSync(file, 'utf8'), path.basename(file), policy, tools));
			return {results: reports.flatMap(({results}) => results), problems: reports.flatMap((report) => report.problems)};
		},
		diff(before, after) {
			const [old, changed] = [read(before), read(after)];
			if (!old.policy || !changed.policy) return {comparison: null, problems: [...old.problems, ...changed.problems]};
			return {comparison: comparePolicies(old.policy, changed.policy, tools), problems: []};
		},
		gather(file) {
			const {files} = read(file);
			const named = files
				.slice(1)
				.map((other) => [path.relative(path.dirname(file), other), readFileSync(other, 'utf8')] as const);
			return {name: path.basename(file), text: readFileSync(file, 'utf8'), files: Object.fromEntries(named)};
		},
		toYaml: (document) => stringify(document, {lineWidth: 120}),
	};
}
