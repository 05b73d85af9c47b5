SELECT sleep_ms(10)
