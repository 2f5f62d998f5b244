"""The privileged opener: the one process that stays root, and how the master asks it."""
