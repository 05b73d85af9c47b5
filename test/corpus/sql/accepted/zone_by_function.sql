SELECT timezone('America/New_York', TIMESTAMP '2024-01-01'), strftime(now(), '%Z')
