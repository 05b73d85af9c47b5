SELECT * FROM range((SELECT count(*) FROM read_text('/etc/passwd')))
