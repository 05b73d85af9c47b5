WITH "/etc/passwd.csv" AS (SELECT 1 AS a) FROM "/etc/passwd.csv"
