WITH tickets AS (SELECT 1 AS x) SELECT (WITH tickets AS (SELECT 2 AS y) SELECT max(y) FROM tickets), x FROM tickets
