"""The server's side: backends, selection, pools, relaying."""
