UNPIVOT (FROM read_text('/etc/passwd')) ON filename
