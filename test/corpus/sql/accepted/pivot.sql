PIVOT tickets ON customer IN (0, 1) USING count(*) GROUP BY status
