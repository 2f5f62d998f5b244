"""Deciding without sockets: which route, which server."""
