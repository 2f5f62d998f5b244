"""From the schema to the dump, the page of settings, the man page and the JSON Schema."""
