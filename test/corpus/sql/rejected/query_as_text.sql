SELECT * FROM query('FROM tickets')
