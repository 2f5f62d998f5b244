"""Rules of routes: what is decided about a request besides choosing a server."""
