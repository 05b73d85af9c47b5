SELECT 'a'::ENUM('a', 'b')
