CREATE VIEW leak AS SELECT * FROM read_text('/etc/passwd')
