/** The control of the SQL engine: DuckDB as it comes, with every table, no gate and no lock. Started as `node open-sql.ts data other ledger`. */
import {writeSync} from 'node:fs';
import {buffer} from 'node:stream/consumers';
import {DuckDBInstance} from '@duckdb/node-api';

const [data, other, ledger] = process.argv.slice(2);
const connection = await (await DuckDBInstance.create(':memory:')).connect();
await connection.run(`
	SET home_directory='/tmp';
	CREATE SCHEMA planted; CREATE SCHEMA vault; CREATE SCHEMA ledger;
	CREATE VIEW planted.sales AS FROM read_parquet('${data}/sales.parquet');
	CREATE VIEW vault.secrets AS FROM read_parquet('${other}/secrets.parquet');
	CREATE VIEW ledger.entries AS FROM read_parquet('${ledger}');
	USE planted;`);
send({type: 'ready'});
const input = await buffer(process.stdin);
const {sql} = JSON.parse(input.subarray(4).toString()) as {sql: string};
try {
	const reader = await connection.runAndReadUntil(sql, 2_000);
	const rows = JSON.stringify(reader.getRowsJson());
	send({type: 'rows', rows: [[rows.slice(0, 1_000_000)]]});
	send({type: 'done', totalRows: null, truncated: null, nonFinite: 0});
} catch (error) {
	send({type: 'error', code: 'x', message: String(error)});
}
process.exit(0);

function send(frame: unknown): void {
	const body = Buffer.from(JSON.stringify(frame));
	const header = Buffer.alloc(4);
	header.writeUInt32BE(body.length);
	writeSync(3, Buffer.concat([header, body]));
}
