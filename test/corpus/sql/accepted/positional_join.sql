SELECT * FROM tickets POSITIONAL JOIN customers
