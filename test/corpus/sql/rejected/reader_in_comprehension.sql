SELECT [x FOR x IN (SELECT [content] FROM read_text('/etc/passwd'))]
