VALUES ((SELECT content FROM read_text('/etc/passwd')))
