SELECT * FROM temp.tickets
