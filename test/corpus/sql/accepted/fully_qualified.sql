SELECT * FROM memory.support.tickets
