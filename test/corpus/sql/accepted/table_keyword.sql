TABLE tickets
