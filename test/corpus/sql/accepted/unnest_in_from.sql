FROM unnest([1, 2]) AS t(x), range(x) AS r(y)
