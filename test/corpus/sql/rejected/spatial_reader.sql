FROM st_read('/etc/passwd')
