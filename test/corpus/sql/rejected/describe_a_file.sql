DESCRIBE '/etc/passwd.csv'
