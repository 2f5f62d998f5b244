"""Shared memory: its layout, its writers, its readers. Each cell has one writer, so there are no locks."""
