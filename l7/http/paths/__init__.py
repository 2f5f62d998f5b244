"""How the path of a request is read: by l7, and by the servers behind it."""
