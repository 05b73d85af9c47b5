SELECT * FROM tickets WHERE id IN (FROM '/etc/passwd.csv')
