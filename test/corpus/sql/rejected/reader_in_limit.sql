FROM tickets SELECT * LIMIT (SELECT count(*) FROM read_text('/etc/passwd'))
