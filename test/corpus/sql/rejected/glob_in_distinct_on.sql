SELECT DISTINCT ON ((SELECT 1 FROM glob('*'))) id FROM tickets
