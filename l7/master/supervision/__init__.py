"""Deciding what the master does next: pure transitions from state and event to state and actions."""
