SELECT * FROM generate_series(1, 2), LATERAL (SELECT * FROM glob('/*'))
