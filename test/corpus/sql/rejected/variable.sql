SELECT format('{}', getvariable('x'))
