FROM unnest(['/etc/passwd']) t(f), read_text(f)
