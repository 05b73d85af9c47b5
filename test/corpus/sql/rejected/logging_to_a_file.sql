CALL enable_logging(storage = 'file', storage_path = '/tmp/x')
