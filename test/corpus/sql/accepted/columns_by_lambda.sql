SELECT COLUMNS(lambda c: c LIKE 'i%') FROM tickets
