SELECT * FROM tickets ASOF JOIN customers USING (id)
