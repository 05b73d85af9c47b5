TABLE "/etc/passwd.csv"
