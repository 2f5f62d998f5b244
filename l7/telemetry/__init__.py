"""What happened: the shared-memory board and the access log."""
