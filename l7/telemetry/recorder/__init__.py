"""The recorder: what happened to the last requests, in memory that all processes share and that outlives workers."""
