SELECT 'INSERT INTO t; COPY t TO ''/x''; read_csv(''/etc/passwd'')' AS text
