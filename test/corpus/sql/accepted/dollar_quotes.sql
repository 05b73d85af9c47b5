SELECT $$; DROP TABLE tickets; --$$
