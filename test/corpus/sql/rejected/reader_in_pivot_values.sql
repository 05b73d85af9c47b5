PIVOT tickets ON status IN (SELECT content FROM read_text('/etc/passwd')) USING count(*)
