SELECT list_transform([1], lambda x: (SELECT count(*) FROM read_text('/etc/passwd')))
