PIVOT tickets ON status USING count(*)
