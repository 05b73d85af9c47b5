import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {ColumnProfile} from '#contract/dataset.ts';
import {inferNow} from './infer-now.ts';

const TODAY = new Date('2026-03-01T12:00:00Z');

for (const [what, columns, now] of [
	['no column holds time', [column('name', 'text', 'zebra')], null],
	['a day counts to its end', [column('order_date', 'date', '2026-02-02')], '2026-02-02T23:59:59'],
	['a timestamp counts to the second', [column('created_at', 'timestamp', '2026-02-02T10:11:12.345')], '2026-02-02T10:11:12'],
	['a timestamp at midnight is a day', [column('day', 'timestamp', '2026-02-02 00:00:00')], '2026-02-02T23:59:59'],
	['a zone is dropped', [column('event_time', 'timestamptz', '2026-02-02T10:11:12Z')], '2026-02-02T10:11:12'],
	['a date after tomorrow is no now', [column('order_date', 'date', '2026-03-09')], null],
	[
		'a due date gives way to a creation date',
		[column('due_date', 'date', '2026-02-28'), column('created', 'date', '2026-01-05')],
		'2026-01-05T23:59:59',
	],
	[
		'a birthday gives way to a visit',
		[column('birth_date', 'date', '2026-02-28'), column('visit', 'date', '2026-01-05')],
		'2026-01-05T23:59:59',
	],
	[
		'of two equals the later counts',
		[column('createdAt', 'date', '2026-01-05'), column('updatedAt', 'date', '2026-01-07')],
		'2026-01-07T23:59:59',
	],
	['an empty column says nothing', [column('created_at', 'timestamp', null)], null],
] as const) {
	test(what, () => {
		const table = {name: 't', file: '', sha256: '', rows: 10, description: '', columns: [...columns], notices: []};
		const source = {name: '', bytes: 0, sha256: '', format: 'csv' as const};
		assert.equal(inferNow({tables: [{...table, source}]}, TODAY), now);
	});
}

function column(name: string, type: ColumnProfile['type'], max: string | null): ColumnProfile {
	return {name, type, engineType: '', description: '', nulls: 0, distinct: 10, min: null, max};
}
