SELECT * RENAME (id AS x) FROM tickets
