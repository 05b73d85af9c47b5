SELECT * FROM tickets ORDER BY (SELECT max(content) FROM read_text('/etc/passwd'))
