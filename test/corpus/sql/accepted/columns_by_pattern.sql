SELECT COLUMNS('i.*') FROM tickets
