SELECT write_log('x', level := 'x')
