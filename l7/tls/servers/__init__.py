"""TLS with servers: whom l7 believes, by which name, and why it does not."""
