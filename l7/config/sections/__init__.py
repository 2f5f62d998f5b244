"""The sections of the schema: a module for what stands below one key of a configuration."""
