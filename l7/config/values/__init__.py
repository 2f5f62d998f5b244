"""The values of settings: how each type is written, read and shown."""
