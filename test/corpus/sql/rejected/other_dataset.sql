SELECT * FROM sales.tickets
