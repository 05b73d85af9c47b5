SELECT first_value(id) OVER w FROM tickets WINDOW w AS (ORDER BY (SELECT 1 FROM glob('*')))
