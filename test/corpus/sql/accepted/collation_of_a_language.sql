SELECT status COLLATE "de.NOCASE" FROM tickets
