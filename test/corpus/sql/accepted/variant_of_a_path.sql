SELECT {'a': '~/x'}::VARIANT
