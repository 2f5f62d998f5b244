"""Supervising the monitor process."""
