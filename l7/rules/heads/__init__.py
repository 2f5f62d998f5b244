"""Rules that change heads: what goes to a server, and what comes back from it."""
