SELECT id AS "größe", 'ß' AS 名前 FROM tickets
