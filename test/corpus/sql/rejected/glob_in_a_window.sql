SELECT sum(id) OVER (ORDER BY (SELECT count(*) FROM glob('*'))) FROM tickets
