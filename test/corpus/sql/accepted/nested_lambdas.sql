SELECT list_transform([[1], [2]], lambda l: list_filter(l, lambda x: x > 1))
