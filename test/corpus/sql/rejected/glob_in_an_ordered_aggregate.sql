SELECT first(id ORDER BY (SELECT 1 FROM glob('*'))) FROM tickets
