SELECT * FROM 'tickets'
