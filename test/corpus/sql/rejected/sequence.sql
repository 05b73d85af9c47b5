SELECT nextval('x')
