WITH a AS (FROM "/etc/passwd.csv"), "/etc/passwd.csv" AS (SELECT 1) FROM a
