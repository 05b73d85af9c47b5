SELECT "select"."from" FROM (SELECT 1 AS "from") AS "select"
