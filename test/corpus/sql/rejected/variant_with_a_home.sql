SELECT * FROM read_text({'path': '~/x'}::VARIANT)
