SELECT * FROM system.information_schema.tables
