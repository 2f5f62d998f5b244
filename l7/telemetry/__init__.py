"""What happened: the shared-memory scoreboard and the access log."""
