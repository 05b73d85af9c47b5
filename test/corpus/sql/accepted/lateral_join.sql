SELECT * FROM tickets t, LATERAL (SELECT max(name) FROM customers c WHERE c.id < t.id)
