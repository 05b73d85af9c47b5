SELECT (FROM query_table(['tickets']))
