"""The control socket: its server, the commands it answers, and what they report."""
