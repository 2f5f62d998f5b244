"""Configuration: one typed, immutable schema and what loads, merges, explains and dumps it."""
