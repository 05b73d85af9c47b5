import assert from 'node:assert/strict';
import {test} from 'node:test';
import {DuckDBInstance} from '@duckdb/node-api';
import {toEngineError} from './engine-errors.ts';

const connection = await (await DuckDBInstance.create(':memory:')).connect();
await connection.run(
	"CREATE SCHEMA s; CREATE TABLE s.orders (id INT, total INT); SET memory_limit='20MB'; SET max_temp_directory_size='1MB'",
);

async function errorOf(sql: string) {
	const error = await connection.runAndReadAll(sql).catch((thrown: unknown) => thrown);
	const {code, message, hint, details} = await toEngineError(error, 's', connection);
	return {code, message, hint, details};
}

test('a limit of the engine is named without advice that nobody here can follow', async () => {
	for (const sql of ['SELECT list(range) FROM range(30000000)', 'SELECT * FROM range(20000000) ORDER BY hash(range)']) {
		const {code, message, hint} = await errorOf(sql);
		assert.deepEqual([code, hint], ['runner_resource_exceeded', 'aggregate or filter earlier, or raise the memory limit']);
		assert.match(message, /^Out of Memory Error: failed to \w+ data[^\n]*$/);
	}
});

test('a name that is not there comes with the names that are', async () => {
	const {code, hint, details} = await errorOf('SELECT totl FROM s.orders');
	assert.deepEqual([code, details], ['sql_execution_error', {schema_hint: {orders: ['id', 'total']}}]);
	assert.equal(hint, 'use the names of the tables and columns there are: details.schema_hint lists them');
});
