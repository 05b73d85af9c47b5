WITH "/etc/passwd.csv" AS (SELECT 1 AS a) FROM main."/etc/passwd.csv"
