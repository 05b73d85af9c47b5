SELECT count(*) FILTER (WHERE EXISTS (FROM glob('*'))) FROM tickets
