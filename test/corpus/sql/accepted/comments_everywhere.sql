SELECT /* ; DROP */ id -- read_text('x')
FROM /**/ tickets
