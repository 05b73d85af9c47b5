SELECT tickets, unnest(tickets) FROM tickets
