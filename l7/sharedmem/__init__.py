"""Shared memory: its layout, its writers, its readers. No locks: each cell has one writer, but for rate limits."""
