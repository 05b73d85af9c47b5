SELECT list_aggregate([1, 2], 'sum')
