SELECT * FROM tickets SEMI JOIN customers USING (id)
