"""HTTP/1.1 without sockets: grammar, messages, parser, framing, forwarding."""
