SELECT json_extract('{"a": [1]}', '$.a[0]'), '{"a": 1}'::JSON ->> 'a'
