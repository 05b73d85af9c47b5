WITH x AS (WITH "/etc/passwd.csv" AS (SELECT 1) SELECT 1) FROM "/etc/passwd.csv"
