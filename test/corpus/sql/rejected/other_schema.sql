SELECT * FROM memory.main.tickets
