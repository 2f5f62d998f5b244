"""Sockets with readiness and deadlines."""
