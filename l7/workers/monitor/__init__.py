"""The monitor process: health checks, names, the admin endpoint."""
