"""Supervising, with the standard library only."""
