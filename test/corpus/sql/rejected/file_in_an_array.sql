SELECT ARRAY(FROM '/etc/passwd.csv')
