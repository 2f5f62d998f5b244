"""The client's side: connections, request bodies, hand-over between workers."""
