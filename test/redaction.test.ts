/** Redaction measured on samples that are made anew by the published forms of credentials. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {measureFalseAlarms, measureRecall, type Row} from '../bench/redaction.ts';

const examined = (rows: readonly Row[]) => rows.reduce((sum, row) => sum + row.examined, 0);
const wrong = (rows: readonly Row[]) => rows.filter((row) => row.wrong > 0);

for (const seed of [1, 2026]) {
	test(`no credential of a kind that we claim is left, seed ${seed}`, () => {
		const rows = measureRecall(10, seed);
		assert.ok(examined(rows) >= 500 && rows.length >= 80, `${examined(rows)} samples of ${rows.length} kinds`);
		assert.ok(rows.every((row) => row.examined >= 10));
		assert.deepEqual(wrong(rows), []);
	});

	test(`nothing that only looks like a credential is touched, seed ${seed}`, () => {
		const rows = measureFalseAlarms(150, seed);
		assert.ok(examined(rows) >= 2_000 && rows.length >= 15, `${examined(rows)} samples of ${rows.length} kinds`);
		assert.deepEqual(wrong(rows), []);
	});
}
