WITH RECURSIVE "/etc/passwd.csv" AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM "/etc/passwd.csv" WHERE n < 3) FROM "/etc/passwd.csv"
