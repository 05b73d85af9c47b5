PIVOT (FROM read_text('/etc/passwd')) ON filename IN ('a') USING count(*)
