SELECT try(read_text('x'))
