CREATE MACRO leak() AS TABLE SELECT * FROM read_text('/etc/passwd')
