"""What is opened before privileges are dropped: sockets, files, the pid file, the account."""
