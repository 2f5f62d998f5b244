"""From which pool a connection to a server comes: one a server, or one for each name that it is asked by."""
