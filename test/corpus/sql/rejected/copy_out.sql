COPY tickets TO '/data/tickets.csv'
