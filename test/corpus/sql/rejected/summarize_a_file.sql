SUMMARIZE '/etc/passwd.csv'
