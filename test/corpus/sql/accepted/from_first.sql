FROM tickets SELECT max(id) WHERE id > 2
