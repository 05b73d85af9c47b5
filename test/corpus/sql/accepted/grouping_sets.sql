SELECT status, customer, count(*) FROM tickets GROUP BY CUBE (status, customer)
