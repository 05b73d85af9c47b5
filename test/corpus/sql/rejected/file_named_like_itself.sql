WITH RECURSIVE "/etc/passwd.csv" AS (FROM "/etc/passwd.csv") FROM "/etc/passwd.csv"
